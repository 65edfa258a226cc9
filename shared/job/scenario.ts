/** One step of a job, under the names Site Recovery gives it. */
export interface TaskDefinition {
  taskId: string;
  name: string;
  friendlyName: string;
}

/** One kind of job. */
export interface ScenarioDefinition {
  friendlyName: string;
  /** What kind of thing the job is about. */
  targetInstanceType: 'ProtectionEntity' | 'ProtectionProfile' | 'Server' | 'VCenter';
  /** Whether somebody may cancel it while it runs. */
  cancellable: boolean;
  /** Whether it may be restarted after it failed: its orchestration takes everything anew from its input. */
  restartable?: boolean;
  tasks: readonly TaskDefinition[];
}

const task = (taskId: string, name: string, friendlyName: string): TaskDefinition => ({
  taskId,
  name,
  friendlyName,
});

const updateProviderStates = task('UpdateDraStateTask', 'UpdateDraState', 'Updating the provider states');

/**
 * Every kind of job by Site Recovery's scenario name; ours are AddDisks, RemoveDisks,
 * CreateRecoveryPoint, UpdateVCenter, DeleteVCenter, RemoveFabric, DiscoverProtectableItem and RenewFabricCertificate.
 * Names as the real service's jobs carry them: https://learn.microsoft.com/azure/site-recovery/site-recovery-monitor-and-troubleshoot
 */
export const scenarios = {
  AddProtectionProfile: {
    friendlyName: 'Create replication policy',
    targetInstanceType: 'ProtectionProfile',
    cancellable: false,
    restartable: true,
    tasks: [
      task(
        'AddProtectionProfilePreflightsCheckTask',
        'AddProtectionProfilePreflightsCheckTask',
        'Prerequisites check for creating the replication policy',
      ),
      task('AddProtectionProfileTask', 'AddProtectionProfileTask', 'Creating the replication policy'),
    ],
  },
  AssociateProtectionProfile: {
    friendlyName: 'Associate replication policy',
    targetInstanceType: 'ProtectionProfile',
    cancellable: false,
    restartable: true,
    tasks: [
      task(
        'AssociateProtectionProfilePreflightsCheckTask',
        'AssociateProtectionProfilePreflightsCheckTask',
        'Prerequisites check for associating the replication policy',
      ),
      task(
        'AssociateProtectionProfileTask',
        'AssociateProtectionProfileTask',
        'Associating the replication policy',
      ),
    ],
  },
  ModifyProtectionProfile: {
    friendlyName: 'Modify settings of the replication policy',
    targetInstanceType: 'ProtectionProfile',
    cancellable: false,
    restartable: true,
    tasks: [
      task(
        'ModifyProtectionProfilePreflightsCheckTask',
        'ModifyProtectionProfilePreflightsCheckTask',
        'Prerequisites check for modifying the replication policy',
      ),
      task('ModifyProtectionProfileTask', 'ModifyProtectionProfileTask', 'Modifying the replication policy'),
    ],
  },
  RemoveProtectionProfile: {
    friendlyName: 'Delete replication policy',
    targetInstanceType: 'ProtectionProfile',
    cancellable: false,
    restartable: true,
    tasks: [
      task('RemoveProtectionProfileTask', 'RemoveProtectionProfileTask', 'Deleting the replication policy'),
    ],
  },
  DissociateProtectionProfile: {
    friendlyName: 'Disassociate replication policy',
    targetInstanceType: 'ProtectionProfile',
    cancellable: false,
    restartable: true,
    tasks: [
      task(
        'DissociateProtectionProfileTask',
        'DissociateProtectionProfileTask',
        'Disassociating the replication policy',
      ),
    ],
  },
  UpdateVmProperties: {
    friendlyName: 'Update the virtual machine',
    targetInstanceType: 'ProtectionEntity',
    cancellable: false,
    restartable: true,
    tasks: [task('UpdateVmPropertiesTask', 'UpdateVmProperties', 'Updating the virtual machine properties')],
  },
  UpdateMobilityService: {
    friendlyName: 'Update Mobility Service',
    targetInstanceType: 'ProtectionEntity',
    cancellable: true,
    restartable: true,
    tasks: [task('UpdateMobilityServiceTask', 'UpdateMobilityService', 'Updating the Mobility Service')],
  },
  ExportJobs: {
    friendlyName: 'Export jobs',
    targetInstanceType: 'Server',
    cancellable: false,
    tasks: [task('ExportJobsTask', 'ExportJobs', 'Writing the list of jobs')],
  },
  DiscoverProtectableItem: {
    friendlyName: 'Add physical server',
    targetInstanceType: 'Server',
    cancellable: false,
    restartable: true,
    tasks: [task('DiscoverProtectableItemTask', 'DiscoverProtectableItemTask', 'Adding the physical server')],
  },
  RenewFabricCertificate: {
    friendlyName: 'Renew certificate',
    targetInstanceType: 'Server',
    cancellable: false,
    restartable: true,
    tasks: [
      task(
        'RenewFabricCertificateTask',
        'RenewFabricCertificateTask',
        'Renewing the certificate of the process server',
      ),
    ],
  },
  DiscoverVCenter: {
    friendlyName: 'Add vCenter server',
    targetInstanceType: 'VCenter',
    cancellable: false,
    restartable: true,
    tasks: [task('DiscoverVCenterTask', 'DiscoverVCenterTask', 'Adding vCenter server')],
  },
  UpdateVCenter: {
    friendlyName: 'Update vCenter server',
    targetInstanceType: 'VCenter',
    cancellable: false,
    tasks: [task('UpdateVCenterTask', 'UpdateVCenterTask', 'Updating vCenter server')],
  },
  DeleteVCenter: {
    friendlyName: 'Delete vCenter server',
    targetInstanceType: 'VCenter',
    cancellable: false,
    tasks: [task('DeleteVCenterTask', 'DeleteVCenterTask', 'Deleting vCenter server')],
  },
  RemoveFabric: {
    friendlyName: 'Remove server',
    targetInstanceType: 'Server',
    cancellable: false,
    tasks: [task('RemoveFabricTask', 'RemoveFabricTask', 'Removing the server from the vault')],
  },
  RefreshFabricLayout: {
    friendlyName: 'Refresh server details',
    targetInstanceType: 'Server',
    cancellable: false,
    restartable: true,
    tasks: [task('RefreshFabricLayoutTask', 'RefreshFabricLayoutTask', 'Refreshing server details')],
  },
  EnableDr: {
    friendlyName: 'Enable replication',
    targetInstanceType: 'ProtectionEntity',
    cancellable: true,
    tasks: [
      task(
        'EnableProtectionPreflightChecksTask',
        'EnableProtectionPrerequisitesCheck',
        'Prerequisites check for enabling protection',
      ),
      task(
        'CreateProtectionTargetTask',
        'CreateProtectionTarget',
        'Installing Mobility Service and preparing target',
      ),
      task('EnableProtectionTask', 'EnableProtection', 'Enable replication'),
      task('StartInitialReplicationTask', 'VmStartInitialReplication', 'Starting initial replication'),
      updateProviderStates,
    ],
  },
  IrCompletion: {
    friendlyName: 'Finalize protection on the virtual machine',
    targetInstanceType: 'ProtectionEntity',
    cancellable: false,
    restartable: true,
    tasks: [
      task(
        'CompleteInitialReplicationTask',
        'VmCompleteInitialReplication',
        'Completing initial replication',
      ),
      updateProviderStates,
    ],
  },
  DisableDr: {
    friendlyName: 'Disable replication',
    targetInstanceType: 'ProtectionEntity',
    cancellable: false,
    tasks: [
      task(
        'DisableProtectionPreflightChecksTask',
        'DisableProtectionPrerequisitesCheck',
        'Prerequisites check for disabling protection',
      ),
      task('DisableProtectionTask', 'DisableProtection', 'Disabling replication'),
      task('CleanupReplicationTask', 'CleanupReplication', 'Deleting the replica log'),
    ],
  },
  RepairVMReplication: {
    friendlyName: 'Resynchronize the virtual machine',
    targetInstanceType: 'ProtectionEntity',
    cancellable: true,
    restartable: true,
    tasks: [
      task(
        'RepairReplicationPreflightChecksTask',
        'RepairReplicationPrerequisitesCheck',
        'Prerequisites check for resynchronizing the virtual machine',
      ),
      task('RepairReplicationTask', 'RepairReplication', 'Starting the resynchronization'),
      updateProviderStates,
    ],
  },
  AddDisks: {
    friendlyName: 'Add disks',
    targetInstanceType: 'ProtectionEntity',
    cancellable: true,
    restartable: true,
    tasks: [
      task('AddDisksPreflightChecksTask', 'DisksPrerequisitesCheck', 'Prerequisites check for adding disks'),
      task('AddDisksTask', 'ChangeDisks', 'Enabling replication of the disks'),
      updateProviderStates,
    ],
  },
  RemoveDisks: {
    friendlyName: 'Remove disks',
    targetInstanceType: 'ProtectionEntity',
    cancellable: true,
    restartable: true,
    tasks: [
      task(
        'RemoveDisksPreflightChecksTask',
        'DisksPrerequisitesCheck',
        'Prerequisites check for removing disks',
      ),
      task('RemoveDisksTask', 'ChangeDisks', 'Disabling replication of the disks'),
      updateProviderStates,
    ],
  },
  CreateRecoveryPoint: {
    friendlyName: 'Create recovery point',
    targetInstanceType: 'ProtectionEntity',
    cancellable: true,
    tasks: [task('CreateRecoveryPointTask', 'VmCreateRecoveryPoint', 'Creating the recovery point')],
  },
} as const satisfies Record<string, ScenarioDefinition>;

export type ScenarioName = keyof typeof scenarios;

/** All scenario names, in the order above. */
export const scenarioNames = Object.keys(scenarios) as [ScenarioName, ...ScenarioName[]];

/** The `name` of each of a scenario's tasks. */
export type TaskName<S extends ScenarioName = ScenarioName> = (typeof scenarios)[S]['tasks'][number]['name'];

/** The definition of a scenario, widened so that its tasks can be walked. */
export function scenarioOf(name: ScenarioName): ScenarioDefinition {
  return scenarios[name];
}
