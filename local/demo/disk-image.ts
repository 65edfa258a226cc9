import { createHash, randomInt } from 'node:crypto';
import {
  closeSync,
  copyFileSync,
  constants,
  fsyncSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createCipheriv } from 'node:crypto';
import { KiB, MiB } from '../../shared/bytes.ts';

const sectorBytes = 512;
const partitionStart = 2048;
const blockBytes = 64 * KiB;
const stepBytes = 1 * MiB;

/**
 * Makes a raw disk image: an MBR with one Linux partition, then stretches of zeros, of text and of random bytes, as a
 * used disk has them. The same seed gives the same image.
 */
export function makeDiskImage(path: string, sizeBytes: number, seed: string): void {
  const file = openSync(path, 'w', 0o600);
  try {
    const random = keyStream(seed);
    const text = textOf(seed);
    for (let at = 0; at < sizeBytes; at += stepBytes) {
      const kind = ((at / stepBytes / 8) % 3) | 0;
      const length = Math.min(stepBytes, sizeBytes - at);
      if (kind === 1) writeSync(file, text, 0, length, at);
      if (kind === 2) writeSync(file, random(length), 0, length, at);
    }
    const last = Buffer.alloc(sectorBytes);
    writeSync(file, last, 0, last.length, sizeBytes - last.length);
    const mbr = masterBootRecord(sizeBytes / sectorBytes);
    writeSync(file, mbr, 0, mbr.length, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Copies an image; where the file system can, without copying its bytes. */
export function copyImage(from: string, to: string): void {
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
}

/** Rewrites one block in a hundred (64 KiB each, at random places), half of each random. @returns bytes rewritten */
export function changeBlocks(path: string, share = 0.01): { blocks: number; bytes: number } {
  const { size } = statSync(path);
  const all = Math.ceil(size / blockBytes);
  const chosen = new Set<number>();
  const wanted = Math.max(1, Math.round(all * share));
  while (chosen.size < wanted) chosen.add(randomInt(all));
  const file = openSync(path, 'r+');
  let bytes = 0;
  try {
    const random = keyStream(`${path} ${Date.now()} ${randomInt(2 ** 40)}`);
    for (const block of chosen) {
      const length = Math.min(blockBytes, size - block * blockBytes);
      const content = random(length);
      textOf(String(block)).copy(content, 0, 0, length / 2);
      bytes += writeSync(file, content, 0, length, block * blockBytes);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return { blocks: chosen.size, bytes };
}

/** Compares two files over a length, byte for byte. @returns the first place they differ at, or undefined */
export function findDifference(one: string, other: string, lengthBytes: number): number | undefined {
  const files = [openSync(one, 'r'), openSync(other, 'r')];
  const buffers = files.map(() => Buffer.alloc(stepBytes));
  try {
    for (let at = 0; at < lengthBytes; at += stepBytes) {
      const length = Math.min(stepBytes, lengthBytes - at);
      const [a, b] = files.map((file, index) => {
        const buffer = buffers[index] ?? Buffer.alloc(0);
        return buffer.subarray(0, readSync(file, buffer, 0, length, at));
      });
      if (!a || !b || a.length !== length || b.length !== length)
        return at + Math.min(a?.length ?? 0, b?.length ?? 0);
      if (a.compare(b) !== 0) return at + a.findIndex((byte, index) => byte !== b[index]);
    }
    return undefined;
  } finally {
    for (const file of files) closeSync(file);
  }
}

/** One partition over the whole disk, and no boot code. A disk too small for one has none. */
function masterBootRecord(sectors: number): Buffer {
  const mbr = Buffer.alloc(sectorBytes);
  if (sectors > partitionStart) {
    mbr.writeUInt8(0x83, 446 + 4);
    mbr.writeUInt32LE(partitionStart, 446 + 8);
    mbr.writeUInt32LE(Math.min(sectors - partitionStart, 0xffff_ffff), 446 + 12);
  }
  mbr.writeUInt16LE(0xaa55, 510);
  return mbr;
}

/** Random bytes as AES-CTR makes them: fast, and the same for the same seed. */
function keyStream(seed: string): (length: number) => Buffer {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  return (length) => cipher.update(Buffer.alloc(length));
}

function textOf(seed: string): Buffer {
  const words = [
    'the',
    'replica',
    'holds',
    'what',
    'disk',
    'had',
    'when',
    'point',
    'was',
    'made',
    'and',
    'nothing',
    'else',
  ];
  const next = keyStream(seed)(stepBytes / 4);
  let text = '';
  for (let at = 0; text.length < stepBytes; at = (at + 1) % next.length) {
    text += `${words[(next[at] ?? 0) % words.length]}${at % 16 === 15 ? '\n' : ' '}`;
  }
  return Buffer.from(text.slice(0, stepBytes));
}
