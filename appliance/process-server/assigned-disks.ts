import { DomainError } from '../../shared/fault.ts';
import type { AssignedDisk, DiskRef } from '../../shared/wire/command.ts';
import { shrunkDisk } from '../../shared/wire/shrunk-disk.ts';

/**
 * An item's disks after it was assigned anew. A disk that it has already keeps the size that its agent last told: the
 * vault may know an older one, or one that the machine has not seen yet.
 *
 * @throws DomainError Conflict when a disk has another number than before, or another disk's
 */
export function assignedDisks(
  known: readonly AssignedDisk[],
  wanted: readonly AssignedDisk[],
): AssignedDisk[] {
  return wanted.map((disk) => {
    const before = known.find(({ diskId, number }) => diskId === disk.diskId || number === disk.number);
    if (!before) return disk;
    if (before.diskId === disk.diskId && before.number === disk.number) return before;
    throw new DomainError({
      code: 'Conflict',
      message: `Disk ${disk.number} of the replica log is ${before.diskId}; it can not be ${disk.diskId}.`,
      target: disk.diskId,
      recommendedAction: 'Disable replication of the machine, then enable it again.',
    });
  });
}

/**
 * The disks of a cycle: those assigned, as large as the agent says.
 *
 * @throws DomainError Conflict when the agent speaks of others, NotSupported when one has shrunk
 */
export function cycleDisks(assigned: readonly AssignedDisk[], told: readonly DiskRef[]): AssignedDisk[] {
  const isSame =
    assigned.length === told.length && assigned.every(({ diskId }, at) => told[at]?.diskId === diskId);
  if (!isSame) throw otherDisks();
  return assigned.map((disk, at) => {
    const sizeBytes = told[at]?.sizeBytes ?? disk.sizeBytes;
    if (sizeBytes < disk.sizeBytes) throw shrunkDisk({ diskId: disk.diskId, sizeBytes }, disk.sizeBytes);
    return { ...disk, sizeBytes };
  });
}

/** @throws DomainError Conflict when the agent goes on with a cycle and speaks of other disks than it began with */
export function requireDisksOf(cycle: readonly DiskRef[], told: readonly DiskRef[]): void {
  const isSame = cycle.every(
    ({ diskId, sizeBytes }, at) => told[at]?.diskId === diskId && told[at].sizeBytes === sizeBytes,
  );
  if (!isSame || cycle.length !== told.length) throw otherDisks();
}

function otherDisks(): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: 'The agent speaks of other disks than those assigned to it.',
    recommendedAction: 'The agent begins anew by itself with those assigned by now.',
  });
}
