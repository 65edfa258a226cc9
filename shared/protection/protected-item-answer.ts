/** A replication protected item as ARM answers it: its row, and what changes every minute. */
import { MiB } from '../bytes.ts';
import { compareVersions } from '../compare-versions.ts';
import { armResource } from '../arm/resource.ts';
import { type VaultRef, childIdOf } from '../arm/resource-id.ts';
import { infrastructureIdOf } from '../discovery/machine.ts';
import { fabricPath, providerPath } from '../fabric/appliance.ts';
import { type HealthError } from '../fabric/health-error.ts';
import { type KeptHeartbeat } from '../fabric/heartbeat.ts';
import { isoTime, secondsSince } from '../iso-time.ts';
import { policyPath } from '../policy/policy.ts';
import { azureContainerId } from '../wire/arm-policy.ts';
import { type HealthFacts, neverTested, replicationErrors } from './item-health.ts';
import { nicAnswers } from './nic-answer.ts';
import { type ItemProgressView, diskAnswers, progressView } from './item-progress.ts';
import { watchedErrors } from './item-watch.ts';
import { type ProtectedItem, itemPath } from './protected-item.ts';
import { allowedOperations } from './transitions.ts';

/** What the answer is made of. */
export interface ItemView extends HealthFacts {
  vault: VaultRef;
  item: ProtectedItem;
  /** The configuration server's name. */
  serverName: string;
  heartbeat: KeptHeartbeat | undefined;
  nowMs: number;
}

/** The real service's moment before all others. */
const never = '1753-01-01T01:01:01Z';

export function protectedItemAnswer(view: ItemView) {
  const { vault, item, serverName } = view;
  const idOf = (path: Parameters<typeof childIdOf>[1]): string => childIdOf(vault, path);
  const replication = [...replicationErrors(item, view), ...watchedErrors(item, view.health)];
  const tested = neverTested(item);
  const state = stateShown(item);
  return armResource(vault, itemPath(item), {
    friendlyName: item.machine.name,
    protectedItemType: '',
    protectableItemId: idOf([
      ...itemPath(item).slice(0, 2),
      ['replicationProtectableItems', item.machine.protectableItemName],
    ]),
    recoveryServicesProviderId: idOf(providerPath(item.applianceId)),
    primaryFabricFriendlyName: serverName,
    primaryFabricProvider: 'InMageFabric',
    recoveryFabricFriendlyName: azureContainerId,
    recoveryFabricId: azureContainerId,
    primaryProtectionContainerFriendlyName: serverName,
    recoveryProtectionContainerFriendlyName: azureContainerId,
    protectionState: state,
    protectionStateDescription: stateDescriptions[state],
    activeLocation: 'Primary',
    testFailoverState: 'None',
    testFailoverStateDescription: 'None',
    allowedOperations: allowedOperations(item),
    replicationHealth: healthWord(replication),
    failoverHealth: tested.length === 0 ? 'Normal' : 'Warning',
    healthErrors: [...replication, ...tested],
    policyId: idOf(policyPath(item.policyName)),
    policyFriendlyName: item.policyName,
    currentScenario: scenarioAnswer(vault, item),
    failoverRecoveryPointId: null,
    providerSpecificDetails: detailsAnswer(view),
    recoveryContainerId: idOf([
      ...fabricPath(item.applianceId),
      ['replicationProtectionContainers', azureContainerId],
    ]),
    eventCorrelationId: item.protectedItemId,
  });
}

function healthWord(errors: readonly HealthError[]): 'Normal' | 'Warning' | 'Critical' {
  if (errors.some(({ errorLevel }) => errorLevel === 'Error')) return 'Critical';
  return errors.length > 0 ? 'Warning' : 'Normal';
}

const stateDescriptions = {
  EnablingProtection: 'Enabling protection',
  InitialReplicationInProgress: 'Initial replication in progress',
  Protected: 'Protected',
  DisablingProtection: 'Disabling protection',
} satisfies Record<ProtectedItem['state'], string>;

function stateShown(item: ProtectedItem): ProtectedItem['state'] {
  return item.currentJob?.scenario === 'DisableDr' ? 'DisablingProtection' : item.state;
}

function scenarioAnswer(vault: VaultRef, { currentJob }: ProtectedItem) {
  const jobName = currentJob?.jobId ?? 'None';
  return {
    scenarioName: currentJob?.scenario ?? 'None',
    jobId: childIdOf(vault, [['replicationJobs', jobName]]),
    startTime: currentJob === undefined ? never : new Date(currentJob.startedAtMs).toISOString(),
  };
}

function detailsAnswer(view: ItemView) {
  const { item, anchor, nowMs, serverName } = view;
  const progress = progressView(view);
  const protectedDisks = diskAnswers(view, progress);
  return {
    instanceType: 'InMageAzureV2',
    infrastructureVmId: item.machine.protectableItemName,
    vCenterInfrastructureId: infrastructureIdOf(item.applianceId, item.machine.vCenterName),
    protectionStage: progress.stage,
    vmId: item.machine.protectableItemName,
    vmProtectionState: stateShown(item),
    vmProtectionStateDescription: stateDescriptions[stateShown(item)],
    ...ratesAnswer(progress),
    ...rpoAnswer(anchor?.newest?.timeMs, nowMs),
    ...agentAnswer(view),
    processServerId: item.processServerId,
    processServerName: serverName,
    multiVmGroupId: item.multiVmGroupId ?? item.protectedItemId,
    multiVmGroupName: item.multiVmGroupName ?? item.protectedItemId,
    multiVmSyncStatus: item.multiVmGroupName === undefined ? 'Disabled' : 'Enabled',
    protectedDisks,
    diskResized: protectedDisks.some(({ diskResized }) => diskResized === 'Resized') ? 'Resized' : null,
    masterTargetId: null,
    ...machineAnswer(item),
    ...targetAnswer(item),
    ...placeAnswer(item),
    validationErrors: [],
    lastUpdateReceivedTime: isoTime(view.progress?.sentAtMs),
    replicaId: `${item.machine.protectableItemName}_replica_${item.containerName}`,
    protectedManagedDisks: [],
    lastRecoveryPointReceived: isoTime(anchor?.newest?.timeMs),
  };
}

function ratesAnswer(progress: ItemProgressView) {
  const rate = progress.bytesPerSecond / MiB;
  return {
    resyncProgressPercentage: progress.percent,
    compressedDataRateInMB: rate * progress.compression,
    uncompressedDataRateInMB: rate,
    isAdditionalStatsAvailable: true,
    totalDataTransferred: progress.uploadedBytes,
    totalProgressHealth: progress.health,
  };
}

function rpoAnswer(newestAtMs: number | undefined, nowMs: number) {
  return {
    rpoInSeconds: secondsSince(newestAtMs, nowMs),
    lastRpoCalculatedTime: isoTime(newestAtMs === undefined ? undefined : nowMs),
  };
}

function agentAnswer({ item, heartbeat }: ItemView) {
  const agent = heartbeat?.heartbeat.agents.find(({ biosUuid }) => biosUuid === item.machine.biosUuid);
  const version = agent?.version ?? item.agentVersion;
  return {
    ipAddress: agent?.ipAddress ?? item.machine.ipAddress,
    agentVersion: version ?? null,
    agentExpiryDate: '9999-12-31T23:59:59.9999999',
    isAgentUpdateRequired: isAgentOld(version, heartbeat) ? 'Required' : 'NotRequired',
    isRebootAfterUpdateRequired: 'NotRequired',
    lastHeartbeat: isoTime(agent?.lastHeartbeatMs),
    osVersion: agent?.osName ?? item.machine.osName,
  };
}

/** Its server could push a newer one. */
function isAgentOld(version: string | undefined, heartbeat: KeptHeartbeat | undefined): boolean {
  const newest = heartbeat?.heartbeat.agentPackageVersion;
  return version !== undefined && newest !== undefined && compareVersions(version, newest) < 0;
}

const osTypes = { WINDOWS: 'Windows', LINUX: 'Linux', OTHER: 'Other' };

function machineAnswer({ machine }: ProtectedItem) {
  return {
    sourceVmCpuCount: machine.cpus,
    sourceVmRamSizeInMB: machine.memoryMB,
    osType: osTypes[machine.osType],
    vhdName: null,
    osDiskId: null,
    azureVMDiskDetails: null,
    discoveryType: machine.vCenterName === '' ? 'Physical' : 'vCenter',
    datastores: machine.datastores,
    firmwareType: machine.firmware === 'efi' ? 'UEFI' : 'BIOS',
    azureVmGeneration: machine.firmware === 'efi' ? 'V2' : 'V1',
  };
}

function targetAnswer({ target, machine }: ProtectedItem) {
  return {
    recoveryAzureVMName: target.vmName,
    recoveryAzureVMSize: target.vmSize ?? null,
    recoveryAzureStorageAccount: target.storageAccountId ?? null,
    recoveryAzureLogStorageAccountId: target.logStorageAccountId ?? null,
    vmNics: nicAnswers({ target, machine }),
    selectedRecoveryAzureNetworkId: target.networkId ?? null,
    selectedTfoAzureNetworkId: target.tfoNetworkId ?? null,
    selectedSourceNicId: target.primaryNicId ?? machine.nics[0]?.mac ?? null,
    enableRdpOnTargetOption: target.enableRdp,
    targetVmId: null,
    recoveryAzureResourceGroupId: target.resourceGroupId ?? null,
    licenseType: target.licenseType ?? 'NotSpecified',
    sqlServerLicenseType: target.sqlServerLicenseType ?? 'NotSpecified',
  };
}

function placeAnswer({ target }: ProtectedItem) {
  return {
    recoveryAvailabilitySetId: target.availabilitySetId ?? null,
    targetAvailabilityZone: target.availabilityZone ?? null,
    targetProximityPlacementGroupId: target.proximityPlacementGroupId ?? null,
    useManagedDisks: target.storageAccountId === undefined ? 'true' : 'false',
    targetVmTags: target.vmTags ?? {},
    seedManagedDiskTags: null,
    targetManagedDiskTags: null,
    targetNicTags: {},
  };
}
