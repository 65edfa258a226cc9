import { MiB } from '../../../shared/bytes.ts';
import { HASH_BLOCK_BYTES, HASH_BYTES, hashBlocks } from '../../../shared/replica/hash-blocks.ts';
import { readBytesAtMost, type DirectReader } from './direct-reader.ts';
import { DirtyMap } from './dirty-map.ts';

/** What is read after one point, at most; the rest waits for the next. */
const refreshBytesAtMost = 128 * MiB;

/**
 * Only changed pages are copied, so the hashes of the blocks around them are no longer known, and a compare after a
 * restart would send those blocks whole. This reads them again when there is time.
 *
 * A hash that was read is believed only at the next point, and only if its block was not copied until then: whatever had
 * been on its way to the disk when it was read has completed by that point's moment, and was seen.
 */
export class StaleHashes {
  readonly #stale: DirtyMap;
  /** By the block's offset. */
  readonly #read = new Map<number, Uint8Array>();

  constructor(sizeBytes: number) {
    this.#stale = new DirtyMap(sizeBytes);
  }

  /** The blocks that an extent touches are no longer known. Gives the first one's offset. */
  forget(offsetBytes: number, lengthBytes: number): number {
    const first = Math.floor(offsetBytes / HASH_BLOCK_BYTES) * HASH_BLOCK_BYTES;
    const end = offsetBytes + lengthBytes;
    for (let block = first; block < end; block += HASH_BLOCK_BYTES) {
      this.#stale.add(block, HASH_BLOCK_BYTES);
      this.#read.delete(block);
    }
    return first;
  }

  /** A full compare begins: it tells every block's hash. */
  clear(): void {
    this.#stale.clear();
    this.#read.clear();
  }

  /** After a point: reads blocks that are not known. */
  async refresh(reader: DirectReader, signal: AbortSignal): Promise<void> {
    const stale = this.#stale.take();
    let leftBytes = refreshBytesAtMost;
    const now: { offsetBytes: number; lengthBytes: number }[] = [];
    for (const extent of stale.extents(readBytesAtMost)) {
      if (leftBytes > 0) now.push(extent);
      else this.#stale.add(extent.offsetBytes, extent.lengthBytes);
      leftBytes -= extent.lengthBytes;
    }
    try {
      await reader.read(now, ({ offsetBytes }, bytes) => {
        signal.throwIfAborted();
        const hashes = hashBlocks(bytes);
        for (let at = 0; at < hashes.length; at += HASH_BYTES)
          this.#read.set(
            offsetBytes + (at / HASH_BYTES) * HASH_BLOCK_BYTES,
            hashes.subarray(at, at + HASH_BYTES),
          );
      });
    } catch (error) {
      for (const { offsetBytes, lengthBytes } of now) this.#stale.add(offsetBytes, lengthBytes);
      throw error;
    }
  }

  /** At a point's moment, when everything copied for it was told by {@link forget}: gives the hashes that hold. */
  confirm(write: (offsetBytes: number, hash: Uint8Array) => void): void {
    for (const [offsetBytes, hash] of this.#read) write(offsetBytes, hash);
    this.#read.clear();
  }
}
