/** What it means to add disks to a protected item or to remove some, decided without any effect. */
import { sameName } from '../arm/resource-id.ts';
import { type KeptMachine } from '../discovery/machine.ts';
import { type KeptProgress } from '../fabric/progress.ts';
import { DomainError } from '../fault.ts';
import { type AddDisksInput, type RemoveDisksInput } from '../wire/arm-protected-item.ts';
import { sizeNow } from './item-progress.ts';
import { planDisks } from './plan-enable.ts';
import { type ItemDisk, type ProtectedItem } from './protected-item.ts';

const field = 'properties.providerSpecificDetails';

/**
 * Ids of the disks that a request to add disks names.
 * @throws InvalidRequest when it wants them elsewhere than the item's other disks.
 */
export function disksToAdd(item: ProtectedItem, input: AddDisksInput): string[] {
  if (input.instanceType === 'InMageAzureV2') return input.disksToInclude.map(({ diskId }) => diskId);
  return input.vmManagedDisks.map(
    ({ diskId, primaryStagingAzureStorageAccountId, recoveryResourceGroupId }) => {
      const { target } = item;
      const staging = target.logStorageAccountId ?? target.storageAccountId;
      requireSame(primaryStagingAzureStorageAccountId, staging, 'primaryStagingAzureStorageAccountId');
      requireSame(recoveryResourceGroupId, target.resourceGroupId, 'recoveryResourceGroupId');
      return diskId;
    },
  );
}

/** Ids of the disks that a request to remove disks names. */
export function disksToRemove(input: RemoveDisksInput): string[] {
  return input.instanceType === 'A2A'
    ? input.vmManagedDisksIds
    : input.disksToRemove.map(({ diskId }) => diskId);
}

/**
 * The item with these disks too; the same object when it has them all. A disk that it had before gets its number back.
 * @throws Conflict, InvalidRequest
 */
export function planAddDisks(
  item: ProtectedItem,
  machine: KeptMachine,
  diskIds: readonly string[],
): ProtectedItem {
  requireProtected(item);
  const added = diskIds.filter((diskId) => !item.disks.some((disk) => sameName(disk.diskId, diskId)));
  if (added.length === 0) return item;
  const all = [...item.disks.map(({ diskId }) => diskId), ...added];
  const planned = planDisks(machine, {
    disksToInclude: all.map((diskId) => ({ diskId, logStorageAccountId: undefined, diskType: undefined })),
  });
  const removed = item.removedDisks ?? [];
  let next = Math.max(...[...item.disks, ...removed].map(({ number }) => number)) + 1;
  const disks: ItemDisk[] = [...item.disks];
  for (const disk of planned) {
    if (!added.some((diskId) => sameName(diskId, disk.diskId))) continue;
    const before = removed.find(({ diskId }) => sameName(diskId, disk.diskId));
    if (before !== undefined) refuseShrunk(before, disk);
    disks.push({ ...disk, number: before?.number ?? next });
    if (before === undefined) next += 1;
  }
  const stillRemoved = removed.filter(({ number }) => !disks.some((disk) => disk.number === number));
  return { ...item, disks, removedDisks: stillRemoved };
}

/**
 * The item without these disks; the same object when it has none of them any more.
 * @throws Conflict, InvalidRequest
 */
export function planRemoveDisks(
  item: ProtectedItem,
  progress: KeptProgress | undefined,
  diskIds: readonly string[],
): ProtectedItem {
  requireProtected(item);
  const removed = item.removedDisks ?? [];
  for (const diskId of diskIds) requireKnown([...item.disks, ...removed], item, diskId);
  const isMeant = (disk: ItemDisk): boolean => diskIds.some((diskId) => sameName(diskId, disk.diskId));
  const going = item.disks.filter(isMeant);
  if (going.length === 0) return item;
  if (going.length === item.disks.length) {
    throw new DomainError({
      code: 'InvalidRequest',
      message: `'${item.machine.name}' would have no replicated disk left.`,
      target: field,
      recommendedAction: 'Leave one disk, or disable replication of the machine.',
    });
  }
  return {
    ...item,
    disks: item.disks.filter((disk) => !isMeant(disk)),
    removedDisks: [...removed, ...going.map((disk) => ({ ...disk, sizeBytes: sizeNow(disk, progress) }))],
  };
}

/** @throws Conflict unless the item has recovery points and is to keep them. */
export function requireProtected(item: ProtectedItem): void {
  if (item.state === 'Protected') return;
  throw new DomainError({
    code: 'Conflict',
    message: `'${item.itemName}' can not be changed so yet: its protection state is ${item.state}.`,
    target: item.itemName,
    recommendedAction: 'Wait until the item is Protected.',
  });
}

function requireKnown(disks: readonly ItemDisk[], item: ProtectedItem, diskId: string): void {
  if (disks.some((disk) => sameName(disk.diskId, diskId))) return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `No disk '${diskId.slice(0, 100)}' of '${item.machine.name}' is replicated.`,
    target: field,
    recommendedAction: `Its replicated disks are: ${item.disks
      .map((disk) => disk.diskId)
      .join(', ')
      .slice(0, 1_000)}.`,
  });
}

function refuseShrunk(before: ItemDisk, now: Omit<ItemDisk, 'number'>): void {
  if (now.sizeBytes >= before.sizeBytes) return;
  throw new DomainError({
    code: 'Conflict',
    message: `The disk '${now.diskId}' has shrunk from ${before.sizeBytes} to ${now.sizeBytes} bytes since it was replicated, and recovery points have it at its former size.`,
    target: field,
    recommendedAction: 'Disable replication of the machine, then enable it again.',
  });
}

function requireSame(given: string | null | undefined, own: string | undefined, name: string): void {
  if (given === undefined || given === null || given === '' || sameName(given, own ?? '')) return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `A disk can not have a ${name} of its own.`,
    target: `${field}.vmManagedDisks.${name}`,
    recommendedAction: `Leave it empty, or send that of the item${own === undefined ? '' : `: ${own}`}.`,
  });
}
