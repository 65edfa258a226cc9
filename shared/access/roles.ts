/**
 * Azure's built-in Site Recovery roles: the actions each allows (`*` stands for anything, slashes included).
 * Source: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles. That page's lists are older
 * than vault settings and vault health; making vaults was left to Azure's own Contributor, which does not exist
 * here. Both are added where marked.
 */

const recoveryServices = 'Microsoft.RecoveryServices';
const vaults = `${recoveryServices}/Vaults`;
const containers = `${vaults}/replicationFabrics/replicationProtectionContainers`;
const protectedItems = `${containers}/replicationProtectedItems`;

const everybody = [
  `${recoveryServices}/operations/read`,
  `${recoveryServices}/locations/allocatedStamp/read`,
  `${vaults}/read`,
  `${vaults}/refreshContainers/read`,
  `${vaults}/usages/read`,
  `${vaults}/replicationUsages/read`,
  `${vaults}/tokenInfo/read`,
  `${vaults}/vaultTokens/read`,
  `${vaults}/monitoringConfigurations/notificationConfiguration/read`,
  // Newer than the published lists.
  `${recoveryServices}/locations/capabilities/action`,
  `${recoveryServices}/replicationEligibilityResults/read`,
  `${vaults}/replicationAppliances/read`,
  `${vaults}/replicationVaultHealth/read`,
  `${vaults}/replicationVaultSettings/read`,
  `${vaults}/replicationSupportedOperatingSystems/read`,
  // Secondsite's own.
  `${vaults}/secondsite/*/read`,
];

const reading = [
  ...everybody,
  `${vaults}/extendedInformation/read`,
  `${vaults}/registeredIdentities/operationResults/read`,
  `${vaults}/registeredIdentities/read`,
  `${vaults}/replicationAlertSettings/read`,
  `${vaults}/replicationEvents/read`,
  `${vaults}/replicationFabrics/read`,
  `${vaults}/replicationFabrics/replicationNetworks/read`,
  `${vaults}/replicationFabrics/replicationNetworks/replicationNetworkMappings/read`,
  `${containers}/read`,
  `${containers}/replicationProtectableItems/read`,
  `${protectedItems}/read`,
  `${protectedItems}/recoveryPoints/read`,
  `${protectedItems}/targetComputeSizes/read`,
  `${containers}/replicationProtectionContainerMappings/read`,
  `${vaults}/replicationFabrics/replicationRecoveryServicesProviders/read`,
  `${vaults}/replicationFabrics/replicationStorageClassifications/read`,
  `${vaults}/replicationFabrics/replicationStorageClassifications/replicationStorageClassificationMappings/read`,
  `${vaults}/replicationFabrics/replicationvCenters/read`,
  `${vaults}/replicationPolicies/read`,
  `${vaults}/replicationRecoveryPlans/read`,
  `${vaults}/storageConfig/read`,
];

const operating = [
  `${recoveryServices}/locations/allocateStamp/action`,
  `${vaults}/replicationFabrics/checkConsistency/action`,
  `${vaults}/replicationFabrics/reassociateGateway/action`,
  `${vaults}/replicationFabrics/renewcertificate/action`,
  ...[
    'applyRecoveryPoint',
    'failoverCommit',
    'plannedFailover',
    'repairReplication',
    'reProtect',
    'testFailover',
    'testFailoverCleanup',
    'unplannedFailover',
    'updateMobilityService',
  ].map((action) => `${protectedItems}/${action}/action`),
  `${vaults}/replicationFabrics/replicationRecoveryServicesProviders/refreshProvider/action`,
  ...[
    'failoverCommit',
    'plannedFailover',
    'reProtect',
    'testFailover',
    'testFailoverCleanup',
    'unplannedFailover',
  ].map((action) => `${vaults}/replicationRecoveryPlans/${action}/action`),
  `${vaults}/replicationJobs/*`,
  `${vaults}/monitoringAlerts/*`,
];

const contributing = [
  ...everybody,
  `${recoveryServices}/locations/allocateStamp/action`,
  `${vaults}/certificates/write`,
  `${vaults}/extendedInformation/*`,
  `${vaults}/registeredIdentities/*`,
  `${vaults}/replicationAlertSettings/*`,
  `${vaults}/replicationEvents/read`,
  `${vaults}/replicationFabrics/*`,
  `${vaults}/replicationJobs/*`,
  `${vaults}/replicationPolicies/*`,
  `${vaults}/replicationRecoveryPlans/*`,
  `${vaults}/storageConfig/*`,
  `${vaults}/monitoringAlerts/*`,
  // Ours to give: see the head of this file.
  `${recoveryServices}/locations/checkNameAvailability/action`,
  `${vaults}/write`,
  `${vaults}/delete`,
  `${vaults}/replicationVaultSettings/*`,
  `${vaults}/replicationVaultHealth/*`,
  `${vaults}/secondsite/*`,
];

/** Name of the role that may do everything here. */
export const contributorRole = 'Site Recovery Contributor';

/** The roles a bearer token may carry, and what each allows. */
const roleActions: Readonly<Record<string, readonly string[]>> = {
  [contributorRole]: contributing,
  'Site Recovery Operator': [...reading, ...operating],
  'Site Recovery Reader': [...reading, `${vaults}/replicationJobs/read`, `${vaults}/monitoringAlerts/read`],
};

const rolePatterns = new Map(
  Object.entries(roleActions).map(([role, patterns]) => [role, patterns.map((pattern) => regExpOf(pattern))]),
);

/** Whether one of the roles allows the ARM action. Roles that are not Site Recovery's allow nothing. */
export function isAllowed(roles: readonly string[], action: string): boolean {
  return roles.some((role) => rolePatterns.get(role)?.some((pattern) => pattern.test(action)) ?? false);
}

function regExpOf(pattern: string): RegExp {
  const escaped = pattern.replaceAll(/[.+?^${}()|[\]\\]/gu, '\\$&').replaceAll('*', '.*');
  return new RegExp(`^${escaped}$`, 'iu');
}
