/** The image that is measured with: 30 % zeros, 10 % random, the rest files of this machine. */
import { randomBytes, randomInt } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  opendirSync,
  readFileSync,
  readSync,
  writeSync,
  type Dirent,
} from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { KiB, MiB } from '../shared/bytes.ts';

export const blockBytes = 64 * KiB;
const pieceBytes = 8 * MiB;
const filesFrom = '/usr';
const longestFileBytes = 64 * MiB;

/** Makes the image: ten pieces in turn, three of zeros, one random, six of files. */
export function makeMixedImage(path: string, sizeBytes: number): void {
  const file = openSync(path, 'w');
  const files = new FileBytes();
  try {
    ftruncateSync(file, sizeBytes);
    for (let at = 0, piece = 0; at < sizeBytes; at += pieceBytes, piece += 1) {
      const length = Math.min(pieceBytes, sizeBytes - at);
      const kind = piece % 10;
      if (kind === 2 || kind === 5 || kind === 8) continue;
      writeSync(file, kind === 4 ? randomBytes(length) : files.take(length), 0, length, at);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Rewrites 1 % of the blocks at random places; returns them. */
export function rewriteBlocks(path: string, sizeBytes: number): number[] {
  const blocks = Math.floor(sizeBytes / blockBytes);
  const changed = new Set<number>();
  while (changed.size < Math.max(1, Math.round(blocks / 100))) changed.add(randomInt(blocks));
  const file = openSync(path, 'r+');
  try {
    const bytes = Buffer.alloc(blockBytes);
    for (const block of changed) {
      // What another block holds, so that it compresses as the disk does, but not the same bytes as there.
      readSync(file, bytes, 0, blockBytes, randomInt(blocks) * blockBytes);
      for (let at = 0; at < blockBytes; at += 4 * KiB) randomBytes(16).copy(bytes, at);
      writeSync(file, bytes, 0, blockBytes, block * blockBytes);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return [...changed];
}

/** What the blocks have when each is compressed alone with zstd 1. */
export function compressedBytes(path: string, blocks: readonly number[]): number {
  const file = openSync(path, 'r');
  const bytes = Buffer.alloc(blockBytes);
  try {
    return blocks.reduce((sum, block) => {
      readSync(file, bytes, 0, blockBytes, block * blockBytes);
      const packed = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
      return sum + Math.min(packed.length, blockBytes);
    }, 0);
  } finally {
    closeSync(file);
  }
}

/** The bytes of the files below /usr, one after the other; from the beginning again where they end. */
class FileBytes {
  #paths: Iterator<string> = pathsBelow(filesFrom);
  #rest: Buffer = Buffer.alloc(0);

  take(lengthBytes: number): Buffer {
    const pieces: Buffer[] = [];
    for (let missing = lengthBytes; missing > 0;) {
      if (this.#rest.length === 0) this.#rest = this.#next();
      const piece = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(piece.length);
      pieces.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  #next(): Buffer {
    for (;;) {
      const { value, done } = this.#paths.next();
      if (done === true) this.#paths = pathsBelow(filesFrom);
      else {
        const bytes = readReadable(value);
        if (bytes.length > 0) return bytes.subarray(0, longestFileBytes);
      }
    }
  }
}

function readReadable(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0); // not ours to read: the next one is
  }
}

function* pathsBelow(folder: string): Generator<string, undefined, undefined> {
  for (const entry of entriesOf(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* pathsBelow(path);
    else if (entry.isFile()) yield path;
  }
  return undefined;
}

function entriesOf(folder: string): Dirent[] {
  try {
    const entries: Dirent[] = [];
    const open = opendirSync(folder);
    for (let entry = open.readSync(); entry; entry = open.readSync()) entries.push(entry);
    open.closeSync();
    return entries.toSorted((one, other) => (one.name < other.name ? -1 : 1));
  } catch {
    return []; // not ours to list
  }
}
