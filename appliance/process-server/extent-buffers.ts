import { MiB } from '../../shared/bytes.ts';

/**
 * Memory for extents on their way from agents to the spool. Long ones get shared memory that is used again and again:
 * threads see it without a transfer, and the collector, to whom 1.4 GB a minute of dead megabytes would go, has no part in it.
 */
const bufferBytes = 1 * MiB;
/** Below this, shared memory of a MiB would be mostly air. */
const sharedFromBytes = 512 * 1024;
/** As much as extents in flight may need; what is given back beyond goes. */
const keptAtMost = 32;

const kept: SharedArrayBuffer[] = [];

/** Uninitialised memory of this length, which owns its buffer or shares it with nobody. */
export function takeBuffer(lengthBytes: number): Uint8Array {
  if (lengthBytes < sharedFromBytes || lengthBytes > bufferBytes) return Buffer.allocUnsafeSlow(lengthBytes);
  return new Uint8Array(kept.pop() ?? new SharedArrayBuffer(bufferBytes), 0, lengthBytes);
}

/** Gives memory back that nobody reads any more. */
export function giveBack(bytes: Uint8Array): void {
  if (bytes.buffer instanceof SharedArrayBuffer && kept.length < keptAtMost) kept.push(bytes.buffer);
}
