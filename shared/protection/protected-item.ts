import { z } from 'zod';
import { type ChildPath } from '../arm/resource-id.ts';
import { OsType } from '../wire/discovery.ts';
import { type AssignedDisk } from '../wire/command.ts';

/**
 * States of protection, under Site Recovery's names.
 * - EnablingProtection: the Enable replication job runs; nothing has been sent yet.
 * - InitialReplicationInProgress: the disks are on their way; there is no recovery point yet.
 * - Protected: there is at least one recovery point.
 * - DisablingProtection: the Disable replication job runs; the data is about to go.
 */
export const ProtectionState = z.enum([
  'EnablingProtection',
  'InitialReplicationInProgress',
  'Protected',
  'DisablingProtection',
]);
export type ProtectionState = z.infer<typeof ProtectionState>;

/** The job that holds an item just now. */
const CurrentJob = z.object({
  jobId: z.uuid(),
  scenario: z.enum([
    'EnableDr',
    'IrCompletion',
    'DisableDr',
    'UpdateVmProperties',
    'RepairVMReplication',
    'AddDisks',
    'RemoveDisks',
    'UpdateMobilityService',
  ]),
  startedAtMs: z.number(),
  /** DisableDr: goes on whether or not the appliance answers. */
  force: z.boolean().optional(),
});
export type CurrentJob = z.infer<typeof CurrentJob>;

const ItemDisk = z.object({
  diskId: z.string(),
  /** What the replica log calls it, for good. */
  number: z.number(),
  sizeBytes: z.number(),
  label: z.string(),
  /** What its copy in Azure shall be called; by default that follows from the machine's name. */
  targetDiskName: z.string().optional(),
});
export type ItemDisk = z.infer<typeof ItemDisk>;

/** What was known of the machine when its protection was enabled. */
const ItemMachine = z.object({
  /** Name of the protectable item: the machine's GUID. */
  protectableItemName: z.string(),
  name: z.string(),
  biosUuid: z.guid(),
  osType: OsType,
  osName: z.string(),
  firmware: z.enum(['bios', 'efi']),
  cpus: z.number(),
  memoryMB: z.number(),
  ipAddress: z.string(),
  /** Empty for a physical machine. */
  vCenterName: z.string(),
  datastores: z.array(z.string()),
  nics: z.array(z.object({ mac: z.string(), network: z.string(), ipAddress: z.string() })),
});
export type ItemMachine = z.infer<typeof ItemMachine>;

/** How one network card shall come up: in a failover, and in a test of it. */
const ItemNic = z.object({
  /** The card's MAC address. */
  nicId: z.string(),
  isSelected: z.boolean(),
  recoverySubnetName: z.string().optional(),
  recoveryStaticIPAddress: z.string().optional(),
  recoveryNetworkSecurityGroupId: z.string().optional(),
  recoveryNicName: z.string().optional(),
  acceleratedOnRecovery: z.boolean().optional(),
  tfoSubnetName: z.string().optional(),
  tfoStaticIPAddress: z.string().optional(),
  tfoNetworkSecurityGroupId: z.string().optional(),
  tfoNicName: z.string().optional(),
  acceleratedOnTfo: z.boolean().optional(),
});
export type ItemNic = z.infer<typeof ItemNic>;

/** Where the machine shall come up. */
const ItemTarget = z.object({
  vmName: z.string(),
  storageAccountId: z.string().optional(),
  logStorageAccountId: z.string().optional(),
  networkId: z.string().optional(),
  subnetName: z.string().optional(),
  resourceGroupId: z.string().optional(),
  vmSize: z.string().optional(),
  diskType: z.string().optional(),
  licenseType: z.string().optional(),
  availabilityZone: z.string().optional(),
  enableRdp: z.string(),
  /** Network of test failovers. */
  tfoNetworkId: z.string().optional(),
  primaryNicId: z.string().optional(),
  availabilitySetId: z.string().optional(),
  proximityPlacementGroupId: z.string().optional(),
  sqlServerLicenseType: z.string().optional(),
  vmTags: z.record(z.string(), z.string()).optional(),
  /** Settings of cards; a card that is not among them has none. */
  nics: z.array(ItemNic).optional(),
});
export type ItemTarget = z.infer<typeof ItemTarget>;

/** A replication protected item as it lies in its row. What changes every minute lies beside it (item-row.ts). */
export const ProtectedItem = z.object({
  /** GUID by which everything but ARM names it; with it the name of its replica log's container. */
  protectedItemId: z.uuid(),
  itemName: z.string(),
  fabricName: z.string(),
  containerName: z.string(),
  applianceId: z.uuid(),
  policyName: z.string(),
  machine: ItemMachine,
  disks: z.array(ItemDisk).min(1),
  /** Disks that older recovery points have and the machine's replication has no longer: their numbers stay theirs. */
  removedDisks: z.array(ItemDisk).optional(),
  target: ItemTarget,
  processServerId: z.string(),
  runAsAccountId: z.string().optional(),
  multiVmGroupName: z.string().optional(),
  multiVmGroupId: z.string().optional(),
  state: ProtectionState,
  /** Hash of what was asked for; the same request again is no new one. */
  requestHash: z.string(),
  /** The job that enabled it; what is undone is only what this job made. */
  enableJobId: z.uuid(),
  /** None while nothing happens to it. */
  currentJob: CurrentJob.optional(),
  agentVersion: z.string().optional(),
  protectedAtMs: z.number().optional(),
  createdAtMs: z.number(),
});
export type ProtectedItem = z.infer<typeof ProtectedItem>;

/** The names by which ARM finds an item. */
export interface ItemNames {
  fabricName: string;
  containerName: string;
  itemName: string;
}

export function itemPath(item: ItemNames): ChildPath {
  return [
    ['replicationFabrics', item.fabricName],
    ['replicationProtectionContainers', item.containerName],
    ['replicationProtectedItems', item.itemName],
  ];
}

/** The item's disks as appliances are told of them. */
export function diskRefs(item: ProtectedItem): AssignedDisk[] {
  return item.disks.map(({ diskId, sizeBytes, number }) => ({ diskId, sizeBytes, number }));
}
