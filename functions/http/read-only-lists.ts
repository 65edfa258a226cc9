/** Lists that clients read before they offer a choice, and what is only for other scenarios than this one. */
import { childIdOf } from '../../shared/arm/resource-id.ts';
import { DomainError } from '../../shared/fault.ts';
import { itemPath } from '../../shared/protection/protected-item.ts';
import { getItem } from '../../shared/protection/protected-item-store.ts';
import { computeSizeAnswers } from '../../shared/target/compute-size.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { containerRoute, vaultRoute } from '../edge/route.ts';
import { services } from '../services.ts';

const azureVmRoute =
  'subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/providers/Microsoft.Compute/virtualMachines/{virtualMachineName}/providers/Microsoft.RecoveryServices/replicationEligibilityResults';

httpOperation(
  'listTargetComputeSizes',
  { method: 'GET', route: `${containerRoute}/replicationProtectedItems/{itemName}/targetComputeSizes` },
  async (call) => {
    const vault = await requireVault(services().table, vaultOf(call.params));
    const item = await getItem(services().table, vault, call.params);
    const { cpus, memoryMB, nics } = item.machine;
    const needs = { cpus, memoryMB, disks: item.disks.length, nics: nics.length };
    const value = computeSizeAnswers(childIdOf(vault, itemPath(item)), needs);
    return { status: 200, body: { value, nextLink: null } };
  },
);

/** What the mobility agent runs on. */
httpOperation(
  'getSupportedOperatingSystems',
  { method: 'GET', route: `${vaultRoute}/replicationSupportedOperatingSystems` },
  async (call) => {
    const vault = await requireVault(services().table, vaultOf(call.params));
    const instanceType = call.query.get('instanceType') ?? 'InMageAzureV2';
    if (!/^InMage(?:AzureV2)?$/iu.test(instanceType)) {
      throw new DomainError({
        code: 'InvalidRequest',
        message: `'${instanceType.slice(0, 100)}' is not a replication provider of this vault.`,
        target: 'instanceType',
        recommendedAction: 'Use InMageAzureV2 or InMage, or leave it out.',
      });
    }
    return {
      status: 200,
      body: {
        id: childIdOf(vault, [['replicationSupportedOperatingSystems', 'default']]),
        name: 'default',
        type: 'Microsoft.RecoveryServices/vaults/replicationSupportedOperatingSystems',
        properties: { supportedOsList: [{ instanceType, supportedOs: supportedOs }] },
      },
    };
  },
);

const supportedOs = [
  {
    osName: 'Linux (x86-64)',
    osType: 'Linux',
    osVersions: [{ version: 'Kernel 5.10 and later, with block tracepoints', servicePack: null }],
  },
];

/** Appliances of the modernized kind; those of this vault are classic ones and stand among the fabrics. */
httpOperation(
  'listReplicationAppliances',
  { method: 'GET', route: `${vaultRoute}/replicationAppliances` },
  async (call) => {
    await requireVault(services().table, vaultOf(call.params));
    return { status: 200, body: { value: [], nextLink: null } };
  },
);

httpOperation('listEligibilityResults', { method: 'GET', route: azureVmRoute }, (call) => {
  return { status: 200, body: { value: [notEligible(call.params)], nextLink: null } };
});

httpOperation('getEligibilityResult', { method: 'GET', route: `${azureVmRoute}/default` }, (call) => {
  return { status: 200, body: notEligible(call.params) };
});

/** The question is about a machine in Azure; from there nothing is replicated. */
function notEligible(names: { subscriptionId: string; resourceGroup: string; virtualMachineName: string }) {
  const { subscriptionId, resourceGroup, virtualMachineName } = names;
  const vmId = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Compute/virtualMachines/${virtualMachineName}`;
  return {
    id: `${vmId}/providers/Microsoft.RecoveryServices/replicationEligibilityResults/default`,
    name: 'default',
    type: 'Microsoft.RecoveryServices/replicationEligibilityResults',
    properties: {
      clientRequestId: null,
      errors: [
        {
          code: 'NotSupported',
          message: 'Virtual machines in Azure are not replicated by this vault.',
          possibleCauses: 'Replication between Azure regions is not part of Secondsite.',
          recommendedAction: 'Use Azure Site Recovery for it.',
          status: 'NotEligible',
        },
      ],
    },
  };
}
