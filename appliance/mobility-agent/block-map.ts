import {
  closeSync,
  copyFileSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { MiB } from '../../shared/bytes.ts';
import {
  HASH_BLOCK_BYTES as blockBytes,
  HASH_BYTES as blockHashBytes,
} from '../../shared/replica/hash-blocks.ts';

/** A byte that no zero block's hash has; 16 of them are no block's hash but by a chance of 2^-128. */
const unknown = 0xff;

/**
 * The hashes of a disk's blocks in a file, 16 bytes for 64 KiB: 0.024 % of the disk's size, read a little at a time.
 * Zeros stand for a block of zeros, as in a replica that nothing was written to; `unknown` for one that may be anything.
 */
export class BlockMap {
  readonly #file: number;

  private constructor(file: number) {
    this.#file = file;
  }

  /** The existing map of a disk of that size. @throws DamagedMap */
  static open(path: string, sizeBytes: number): BlockMap {
    const file = openSync(path, 'r+');
    const lengthBytes = fstatSync(file).size;
    if (lengthBytes === mapBytes(sizeBytes)) return new BlockMap(file);
    closeSync(file);
    throw new DamagedMap(`${path} has ${lengthBytes} bytes in place of ${mapBytes(sizeBytes)}`);
  }

  /** Makes the file anew, as the map of a disk of zeros. */
  static createEmpty(path: string, sizeBytes: number): BlockMap {
    const file = openSync(path, 'w+', 0o600);
    ftruncateSync(file, mapBytes(sizeBytes));
    return new BlockMap(file);
  }

  /**
   * Makes the file anew, as a copy of the map of the same disk when it had another size: of what it grew by nothing is
   * in the replica, and that reads as zeros.
   *
   * @throws DamagedMap
   */
  static createCopy(path: string, source: string, size: { fromBytes: number; toBytes: number }): BlockMap {
    const { fromBytes, toBytes } = size;
    rmSync(path, { force: true });
    copyFileSync(source, path, constants.COPYFILE_FICLONE);
    const map = BlockMap.open(path, fromBytes);
    if (toBytes > fromBytes) map.#grow(fromBytes, toBytes);
    return map;
  }

  /** The hashes of the blocks of a range that begins on a block's edge. */
  read(offsetBytes: number, lengthBytes: number): Uint8Array {
    const hashes = new Uint8Array(mapBytes(lengthBytes));
    readSync(this.#file, hashes, 0, hashes.length, position(offsetBytes));
    return hashes;
  }

  write(offsetBytes: number, hashes: Uint8Array): void {
    writeSync(this.#file, hashes, 0, hashes.length, position(offsetBytes));
  }

  /** Forgets the blocks of a range: before their new content is sent, so that a crash can't leave a wrong hash. */
  forget(offsetBytes: number, lengthBytes: number): void {
    this.#fill(offsetBytes, lengthBytes, unknown);
  }

  /** Forgets the blocks that a range touches. */
  forgetAround(offsetBytes: number, lengthBytes: number): void {
    const first = Math.floor(offsetBytes / blockBytes) * blockBytes;
    this.forget(first, offsetBytes + lengthBytes - first);
  }

  /** Notes that the blocks of a range are zeros. */
  clear(offsetBytes: number, lengthBytes: number): void {
    this.#fill(offsetBytes, lengthBytes, 0);
  }

  flush(): void {
    fsyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  /** The block in which the disk ended before has a hash of fewer bytes than it has now, which only zeros survive. */
  #grow(fromBytes: number, toBytes: number): void {
    ftruncateSync(this.#file, mapBytes(toBytes));
    const last = Math.floor(fromBytes / blockBytes) * blockBytes;
    if (last < fromBytes && this.read(last, 1).some((byte) => byte !== 0)) this.forget(last, 1);
  }

  #fill(offsetBytes: number, lengthBytes: number, value: number): void {
    const stepBytes = 1024 * MiB;
    for (let done = 0; done < lengthBytes; done += stepBytes) {
      const blocks = Math.ceil(Math.min(stepBytes, lengthBytes - done) / blockBytes);
      this.write(offsetBytes + done, new Uint8Array(blocks * blockHashBytes).fill(value));
    }
  }
}

/** A map that is not what was written: nothing is known of the replica. */
export class DamagedMap extends Error {
  override readonly name = 'DamagedMap';
}

function mapBytes(sizeBytes: number): number {
  return Math.ceil(sizeBytes / blockBytes) * blockHashBytes;
}

function position(offsetBytes: number): number {
  return (offsetBytes / blockBytes) * blockHashBytes;
}
