import { hash } from 'node:crypto';
import { KiB } from '../bytes.ts';
import { isZero } from './frame.ts';

/** Disks are compared in blocks of this size, by hashes of that size: 0.025 % of the disk. */
export const HASH_BLOCK_BYTES = 64 * KiB;
export const HASH_BYTES = 16;

/** Stands for a block of zeros, and for one never seen: an untouched map says that the disk is empty. */
const ZERO_BLOCK = Buffer.alloc(HASH_BYTES);

/** The hashes of consecutive 64 KiB blocks (the last may be shorter): SHA-256 cut to 16 bytes; zeros for zeros. */
export function hashBlocks(data: Uint8Array): Buffer {
  const blocks = Math.ceil(data.length / HASH_BLOCK_BYTES);
  const hashes = Buffer.allocUnsafeSlow(blocks * HASH_BYTES);
  for (let block = 0; block < blocks; block += 1) {
    const bytes = data.subarray(block * HASH_BLOCK_BYTES, (block + 1) * HASH_BLOCK_BYTES);
    const digest = isZero(bytes) ? ZERO_BLOCK : hash('sha256', bytes, 'buffer');
    digest.copy(hashes, block * HASH_BYTES, 0, HASH_BYTES);
  }
  return hashes;
}
