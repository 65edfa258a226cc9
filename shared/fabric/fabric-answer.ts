/** Fabric, provider and container as ARM answers them, put together from the appliance's row and its last heartbeat. */
import { type VaultRef, childIdOf } from '../arm/resource-id.ts';
import { type ArmResource, armResource } from '../arm/resource.ts';
import { version as vaultVersion } from '../version.ts';
import { type ProcessServerHealth } from '../wire/check-in.ts';
import { type Appliance, containerPath, fabricPath, providerPath } from './appliance.ts';
import { errorsOf, isSilent } from './appliance-health.ts';
import { type KeptWatch } from './appliance-watch.ts';
import { type HealthError } from './health-error.ts';
import { type KeptHeartbeat } from './heartbeat.ts';
import { lightsOf } from './load-status.ts';
import { versionStatusOf } from './version-status.ts';

/** All that the answers are made of. */
export type ApplianceView = {
  vault: VaultRef;
  appliance: Appliance;
  heartbeat: KeptHeartbeat | undefined;
  /** What the heartbeat watch knows. */
  watch: KeptWatch | undefined;
  protectedItemCount: number;
  /** Whether a policy is associated with the container. */
  paired: boolean;
  nowMs: number;
};

/** Versions of ours do not expire; so the real service writes it. */
const never = '9999-12-31T23:59:59.9999999';
/** What is shown before the first heartbeat. */
const idle: ProcessServerHealth = {
  cpuPercent: 0,
  memoryTotalBytes: 0,
  memoryAvailableBytes: 0,
  cacheTotalBytes: 0,
  cacheFreeBytes: 0,
  systemLoad: 0,
  pendingUploadBytes: 0,
  uploadBytesPerSecond: 0,
  replicatingMachines: 0,
};

export function fabricAnswer(view: ApplianceView) {
  const { vault, appliance } = view;
  const errors = healthErrorsOf(view);
  return armResource(vault, fabricPath(appliance.applianceId), {
    friendlyName: machineOf(view).hostName,
    encryptionDetails: { kekState: 'None', kekCertThumbprint: null },
    rolloverEncryptionDetails: { kekState: 'None', kekCertThumbprint: null },
    internalIdentifier: appliance.applianceId,
    bcdrState: 'Valid',
    customDetails: vmwareDetails(view),
    healthErrorDetails: errors,
    health: healthWord(view),
  });
}

export function providerAnswer(view: ApplianceView): ArmResource<object> {
  const { vault, appliance } = view;
  const machine = machineOf(view);
  return armResource(vault, providerPath(appliance.applianceId), {
    fabricType: 'VMware',
    friendlyName: machine.hostName,
    providerVersion: machine.version,
    serverVersion: machine.version,
    providerVersionState: machine.version === vaultVersion ? 'Latest' : 'UpdateAvailable',
    providerVersionExpiryDate: never,
    fabricFriendlyName: machine.hostName,
    lastHeartBeat: lastHeartbeat(view),
    connectionStatus: isSilent(view) ? 'NotConnected' : 'Connected',
    protectedItemCount: view.protectedItemCount,
    allowedScenarios: [],
    healthErrorDetails: errorsOf(view, view.watch?.sinceMs ?? {}, 'server'),
    draIdentifier: appliance.applianceId,
    machineId: appliance.applianceId,
    machineName: machine.hostName,
    biosId: machine.biosId,
    authenticationIdentityDetails: null,
    resourceAccessIdentityDetails: null,
    dataPlaneAuthenticationIdentityDetails: null,
    providerVersionDetails: versionDetails(machine.version),
  });
}

export function containerAnswer(view: ApplianceView): ArmResource<object> {
  const { hostName } = machineOf(view);
  return armResource(view.vault, containerPath(view.appliance.applianceId), {
    fabricFriendlyName: hostName,
    friendlyName: hostName,
    fabricType: 'VMware',
    protectedItemCount: view.protectedItemCount,
    pairingStatus: view.paired ? 'Paired' : 'NotPaired',
    role: 'Primary',
    fabricSpecificDetails: null,
  });
}

function vmwareDetails(view: ApplianceView) {
  const machine = machineOf(view);
  const heartbeat = view.heartbeat?.heartbeat;
  const load = loadOf(view);
  return {
    instanceType: 'VMware',
    processServers: [processServer(view)],
    masterTargetServers: [masterTarget(view)],
    runAsAccounts: heartbeat?.accounts ?? [],
    replicationPairCount: String(view.protectedItemCount),
    processServerCount: '1',
    agentCount: String(heartbeat?.agents.length ?? 0),
    protectedServers: String(view.protectedItemCount),
    ...load,
    webLoad: '0',
    webLoadStatus: 'Green',
    databaseServerLoad: '0',
    databaseServerLoadStatus: 'Green',
    csServiceStatus: isSilent(view) ? 'Stopped' : 'Running',
    ipAddress: machine.ipAddress,
    agentVersion: machine.version,
    hostName: machine.hostName,
    lastHeartbeat: lastHeartbeat(view),
    versionStatus: versionStatusOf(machine.version, vaultVersion),
    ...certificateOf(view),
    psTemplateVersion: machine.version,
    agentExpiryDate: never,
    agentVersionDetails: versionDetails(machine.version),
    switchProviderBlockingErrorDetails: [],
    // What the real service does not tell.
    secondsite: { prerequisites: heartbeat?.prerequisites ?? null },
  };
}

function processServer(view: ApplianceView) {
  const machine = machineOf(view);
  const health = view.heartbeat?.heartbeat.processServer ?? idle;
  const { applianceId } = view.appliance;
  return {
    friendlyName: machine.hostName,
    id: applianceId,
    ipAddress: machine.ipAddress,
    osType: osTypeOf(machine.osName),
    agentVersion: machine.version,
    lastHeartbeat: lastHeartbeat(view),
    versionStatus: versionStatusOf(machine.version, vaultVersion),
    mobilityServiceUpdates: ['Windows', 'Linux'].map((osType) => ({
      version: machine.version,
      rebootStatus: 'NotRequired',
      osType,
    })),
    hostId: applianceId,
    machineCount: String(health.replicatingMachines),
    replicationPairCount: String(view.protectedItemCount),
    ...loadOf(view),
    psServiceStatus: isSilent(view) ? 'Stopped' : 'Running',
    ...certificateOf(view),
    osVersion: machine.osName,
    healthErrors: healthErrorsOf(view),
    agentExpiryDate: never,
    agentVersionDetails: versionDetails(machine.version),
    health: healthWord(view),
    historicHealth: healthWord(view),
    psStatsRefreshTime: lastHeartbeat(view),
    throughputUploadPendingDataInBytes: health.pendingUploadBytes,
    throughputInMBps: Math.round(health.uploadBytesPerSecond / (1024 * 1024)),
    throughputInBytes: Math.round(health.uploadBytesPerSecond),
    throughputStatus: 'Green',
    marsCommunicationStatus: '1',
    marsRegistrationStatus: '1',
  };
}

function masterTarget(view: ApplianceView) {
  const machine = machineOf(view);
  return {
    id: view.appliance.applianceId,
    ipAddress: machine.ipAddress,
    name: machine.hostName,
    osType: osTypeOf(machine.osName),
    agentVersion: machine.version,
    lastHeartbeat: lastHeartbeat(view),
    versionStatus: versionStatusOf(machine.version, vaultVersion),
    retentionVolumes: [],
    dataStores: [],
    validationErrors: [],
    healthErrors: [],
    diskCount: 0,
    osVersion: machine.osName,
    agentExpiryDate: never,
    marsAgentVersion: machine.version,
    marsAgentExpiryDate: never,
    agentVersionDetails: versionDetails(machine.version),
    marsAgentVersionDetails: versionDetails(machine.version),
  };
}

function loadOf(view: ApplianceView) {
  const health = view.heartbeat?.heartbeat.processServer ?? idle;
  const lights = lightsOf(health);
  return {
    systemLoad: String(health.systemLoad),
    systemLoadStatus: lights.system,
    cpuLoad: `${Math.round(health.cpuPercent)}%`,
    cpuLoadStatus: lights.cpu,
    totalMemoryInBytes: health.memoryTotalBytes,
    availableMemoryInBytes: health.memoryAvailableBytes,
    memoryUsageStatus: lights.memory,
    totalSpaceInBytes: health.cacheTotalBytes,
    availableSpaceInBytes: health.cacheFreeBytes,
    spaceUsageStatus: lights.space,
  };
}

function certificateOf(view: ApplianceView) {
  const expiresAtMs = view.heartbeat?.heartbeat.certificateExpiresAtMs;
  if (expiresAtMs === undefined) return {};
  return {
    sslCertExpiryDate: new Date(expiresAtMs).toISOString(),
    sslCertExpiryRemainingDays: Math.floor((expiresAtMs - view.nowMs) / 86_400_000),
  };
}

/** What is wrong with an appliance; empty when all is well. */
export function healthErrorsOf(view: ApplianceView): HealthError[] {
  return errorsOf(view, view.watch?.sinceMs ?? {}, 'processServer');
}

/** Site Recovery's word for the worst error there is. A traffic light counts once it has been on for 15 minutes. */
function healthWord(view: ApplianceView): string {
  const errors = healthErrorsOf(view);
  if (errors.some(({ errorLevel }) => errorLevel === 'Error')) return 'Critical';
  return errors.length > 0 ? 'Warning' : 'Normal';
}

function machineOf(view: ApplianceView) {
  return view.heartbeat?.heartbeat.machine ?? view.appliance.machine;
}

/** When it was last heard of: its first word was the registration. */
function lastHeartbeat(view: ApplianceView): string {
  return new Date(view.heartbeat?.receivedAtMs ?? view.appliance.registeredAtMs).toISOString();
}

function versionDetails(version: string) {
  return { version, expiryDate: never, status: versionStatusOf(version, vaultVersion) };
}

function osTypeOf(osName: string): string {
  return /windows/iu.test(osName) ? 'Windows' : 'Linux';
}

/** ARM id of the provider of an appliance. */
export function providerIdOf(vault: VaultRef, applianceId: string): string {
  return childIdOf(vault, providerPath(applianceId));
}
