/**
 * The operations of Site Recovery's API that are refused, each with what to do in its place. An operation that gets
 * implemented is taken out here: a test fails on one that is both or neither.
 */
import { type HttpMethod } from '@azure/functions';
import { vaultRoute } from '../edge/route.ts';

/** An operation that is known and refused. */
export type RefusedOperation = { method: HttpMethod; route: string; message: string; instead: string };

/** Operations refused for one reason: `METHOD path`, the path below the vault; one in absolute form begins with `/`. */
type Refusal = { message: string; instead: string; operations: readonly `${HttpMethod} ${string}`[] };

const fabric = 'replicationFabrics/{fabricName}';
const container = `${fabric}/replicationProtectionContainers/{containerName}`;
const item = `${container}/replicationProtectedItems/{itemName}`;
const migrationItem = `${container}/replicationMigrationItems/{migrationItemName}`;
const network = `${fabric}/replicationNetworks/{networkName}`;
const classification = `${fabric}/replicationStorageClassifications/{storageClassificationName}`;
const plan = 'replicationRecoveryPlans/{recoveryPlanName}';
const deletedVaults =
  '/subscriptions/{subscriptionId}/providers/Microsoft.RecoveryServices/locations/{location}/deletedVaults';

const refusals: readonly Refusal[] = [
  {
    message: 'Failover is not there yet.',
    instead:
      'A recovery point can be restored from its replica log: see docs/replica-log.md and the answer of secondsite/protectedItems/{name}/replicaLog.',
    operations: [
      `POST ${item}/applyRecoveryPoint`,
      `POST ${item}/failoverCancel`,
      `POST ${item}/failoverCommit`,
      `POST ${item}/plannedFailover`,
      `POST ${item}/reProtect`,
      `POST ${item}/testFailover`,
      `POST ${item}/testFailoverCleanup`,
      `POST ${item}/unplannedFailover`,
    ],
  },
  {
    message: 'Recovery plans are not there yet.',
    instead: 'Protect and restore machines one by one; a script over the API can keep their order.',
    operations: [
      'GET replicationRecoveryPlans',
      `GET ${plan}`,
      `PUT ${plan}`,
      `PATCH ${plan}`,
      `DELETE ${plan}`,
      `POST ${plan}/failoverCancel`,
      `POST ${plan}/failoverCommit`,
      `POST ${plan}/plannedFailover`,
      `POST ${plan}/reProtect`,
      `POST ${plan}/testFailover`,
      `POST ${plan}/testFailoverCleanup`,
      `POST ${plan}/unplannedFailover`,
    ],
  },
  {
    message: 'Machines can not be moved to another appliance; the real service has this for VMwareV2 only.',
    instead: 'Disable the replication of the machine and enable it at the other configuration server.',
    operations: [`POST ${item}/updateAppliance`],
  },
  {
    message: 'Protected items are replicated by one provider; there is none to switch to.',
    instead: 'Nothing has to be done: switching is for the change from classic to modernized appliances.',
    operations: [`POST ${item}/switchProvider`],
  },
  {
    message: 'Migration items belong to Azure Migrate and are not part of disaster recovery.',
    instead: 'Use replicationProtectedItems to replicate a machine, Azure Migrate to move one.',
    operations: [
      'GET replicationMigrationItems',
      `GET ${container}/replicationMigrationItems`,
      `GET ${migrationItem}`,
      `PUT ${migrationItem}`,
      `PATCH ${migrationItem}`,
      `DELETE ${migrationItem}`,
      `POST ${migrationItem}/migrate`,
      `POST ${migrationItem}/pauseReplication`,
      `POST ${migrationItem}/resumeReplication`,
      `POST ${migrationItem}/resync`,
      `POST ${migrationItem}/testMigrate`,
      `POST ${migrationItem}/testMigrateCleanup`,
      `GET ${migrationItem}/migrationRecoveryPoints`,
      `GET ${migrationItem}/migrationRecoveryPoints/{migrationRecoveryPointName}`,
    ],
  },
  {
    message: 'Networks of a fabric and their mappings are for Hyper-V under Virtual Machine Manager.',
    instead:
      'Name the target network of a VMware machine when you enable its replication (targetAzureNetworkId).',
    operations: [
      'GET replicationNetworks',
      `GET ${fabric}/replicationNetworks`,
      `GET ${network}`,
      'GET replicationNetworkMappings',
      `GET ${network}/replicationNetworkMappings`,
      `GET ${network}/replicationNetworkMappings/{networkMappingName}`,
      `PUT ${network}/replicationNetworkMappings/{networkMappingName}`,
      `PATCH ${network}/replicationNetworkMappings/{networkMappingName}`,
      `DELETE ${network}/replicationNetworkMappings/{networkMappingName}`,
      `GET ${fabric}/replicationLogicalNetworks`,
      `GET ${fabric}/replicationLogicalNetworks/{logicalNetworkName}`,
    ],
  },
  {
    message: 'Storage classifications are for Hyper-V under Virtual Machine Manager.',
    instead:
      'Name the storage account of a VMware machine when you enable its replication (storageAccountId).',
    operations: [
      'GET replicationStorageClassifications',
      `GET ${fabric}/replicationStorageClassifications`,
      `GET ${classification}`,
      'GET replicationStorageClassificationMappings',
      `GET ${classification}/replicationStorageClassificationMappings`,
      `GET ${classification}/replicationStorageClassificationMappings/{storageClassificationMappingName}`,
      `PUT ${classification}/replicationStorageClassificationMappings/{storageClassificationMappingName}`,
      `DELETE ${classification}/replicationStorageClassificationMappings/{storageClassificationMappingName}`,
    ],
  },
  {
    message: 'Protection intents are for replication between Azure regions.',
    instead: 'Enable the replication of a VMware machine by creating a replicationProtectedItem.',
    operations: [
      'GET replicationProtectionIntents',
      'GET replicationProtectionIntents/{intentObjectName}',
      'PUT replicationProtectionIntents/{intentObjectName}',
    ],
  },
  {
    message: 'A configuration server has one protection container, which comes and goes with it.',
    instead: 'Register a configuration server, or remove the fabric.',
    operations: [`PUT ${container}`, `POST ${container}/remove`, `POST ${container}/switchprotection`],
  },
  {
    message: 'A fabric or provider is not made by a request: a configuration server registers itself.',
    instead:
      'Download a registration key (POST secondsite/registrationKeys) and give it to the set-up of the configuration server.',
    operations: [`PUT ${fabric}`, `PUT ${fabric}/replicationRecoveryServicesProviders/{providerName}`],
  },
  {
    message: 'Configuration servers of Secondsite never had certificates of Access Control Service.',
    instead: 'Nothing has to be migrated to Azure AD.',
    operations: [`POST ${fabric}/migratetoaad`],
  },
  {
    message: 'A configuration server has one process server, which is part of it.',
    instead: 'Machines can be moved to another process server once several are possible.',
    operations: [`POST ${fabric}/reassociateGateway`],
  },
  {
    message: 'Private endpoints are not offered.',
    instead: 'Restrict the network of the function app in Azure (private endpoint, access restrictions).',
    operations: ['GET privateLinkResources', 'GET privateLinkResources/{privateLinkResourceName}'],
  },
  {
    message: 'A deleted vault is gone: there is no soft delete.',
    instead: 'Create the vault again. A vault is deleted only when it is empty.',
    operations: [
      `GET ${deletedVaults}`,
      `GET ${deletedVaults}/{deletedVaultName}`,
      `GET ${deletedVaults}/{deletedVaultName}/operations/{operationId}`,
      `POST ${deletedVaults}/{deletedVaultName}/undelete`,
    ],
  },
];

/** All of them, one by one. */
export const refusedOperations: readonly RefusedOperation[] = refusals.flatMap(
  ({ message, instead, operations }) =>
    operations.map((operation) => {
      const [method = '', path = ''] = operation.split(' ');
      const route = path.startsWith('/') ? path.slice(1) : `${vaultRoute}/${path}`;
      return { method: method as HttpMethod, route, message, instead };
    }),
);
