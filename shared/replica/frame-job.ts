import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { KiB } from '../bytes.ts';
import { openFrame, sealFrame, sealPackedFrame } from './frame.ts';
import type { Extent, FrameSlot, PackedExtent } from './frame.ts';
import { hashBlocks } from './hash-blocks.ts';

/** Files are read in pieces of this size. */
const PIECE = Buffer.allocUnsafeSlow(256 * KiB);

/** What a thread of the pool can do. */
export type FrameJob =
  | { kind: 'seal'; slot: FrameSlot; extent: Extent }
  | { kind: 'sealPacked'; slot: FrameSlot; extent: PackedExtent }
  | { kind: 'open'; slot: Omit<FrameSlot, 'number'>; frame: Uint8Array }
  | { kind: 'hash'; data: Uint8Array }
  | { kind: 'digest'; path: string };

export type FrameJobResult = { id: number; bytes: Uint8Array<ArrayBuffer> } | { id: number; error: string };

/** Runs a job. The result has an ArrayBuffer of its own, so that it can be transferred. */
export function runFrameJob(job: FrameJob): Uint8Array<ArrayBuffer> {
  if (job.kind === 'seal') return owned(sealFrame(job.slot, job.extent));
  if (job.kind === 'sealPacked') return owned(sealPackedFrame(job.slot, job.extent));
  if (job.kind === 'open') return owned(openFrame(job.slot, job.frame));
  if (job.kind === 'hash') return owned(hashBlocks(job.data));
  return owned(digestFile(job.path));
}

/** SHA-256, then MD5, of a whole file. */
function digestFile(path: string): Buffer {
  const sha256 = createHash('sha256');
  const md5 = createHash('md5');
  const file = openSync(path, 'r');
  try {
    for (let at = 0; ;) {
      const length = readSync(file, PIECE, 0, PIECE.length, at);
      if (length === 0) return Buffer.concat([sha256.digest(), md5.digest()]);
      sha256.update(PIECE.subarray(0, length));
      md5.update(PIECE.subarray(0, length));
      at += length;
    }
  } finally {
    closeSync(file);
  }
}

/** The bytes that came with a job, where some did. */
export function inputOf(job: FrameJob): Uint8Array | undefined {
  if (job.kind === 'digest') return undefined;
  if (job.kind === 'seal') return job.extent.data;
  if (job.kind === 'sealPacked') return job.extent.packed;
  return job.kind === 'open' ? job.frame : job.data;
}

function owned(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength) {
    return new Uint8Array(buffer);
  }
  return Uint8Array.from(bytes);
}
