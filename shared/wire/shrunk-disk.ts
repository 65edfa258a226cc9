import { DomainError } from '../fault.ts';
import type { DiskRef } from './command.ts';

/** A disk has become smaller, which no replica log can follow. */
export function shrunkDisk(now: DiskRef, beforeBytes: number): DomainError {
  const { diskId, sizeBytes } = now;
  return new DomainError({
    code: 'NotSupported',
    message: `The disk ${diskId} has shrunk from ${beforeBytes} to ${sizeBytes} bytes. Its replication stands still; the recovery points before stay valid.`,
    target: diskId,
    recommendedAction:
      'Give the disk its former size back, or remove it from the replication, or disable replication of the machine and enable it again.',
  });
}
