import { openFrame, sealFrame } from './frame.ts';
import type { Extent, FrameSlot } from './frame.ts';
import { hashBlocks } from './hash-blocks.ts';

/** What a thread of the pool can do. */
export type FrameJob =
  | { kind: 'seal'; slot: FrameSlot; extent: Extent }
  | { kind: 'open'; slot: Omit<FrameSlot, 'number'>; frame: Uint8Array }
  | { kind: 'hash'; data: Uint8Array };

export type FrameJobResult = { id: number; bytes: Uint8Array<ArrayBuffer> } | { id: number; error: string };

/** Runs a job. The result has an ArrayBuffer of its own, so that it can be transferred. */
export function runFrameJob(job: FrameJob): Uint8Array<ArrayBuffer> {
  if (job.kind === 'seal') return owned(sealFrame(job.slot, job.extent));
  if (job.kind === 'open') return owned(openFrame(job.slot, job.frame));
  return owned(hashBlocks(job.data));
}

/** The bytes that came with a job. */
export function inputOf(job: FrameJob): Uint8Array {
  if (job.kind === 'seal') return job.extent.data;
  return job.kind === 'open' ? job.frame : job.data;
}

function owned(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer && byteOffset === 0 && byteLength === buffer.byteLength) {
    return new Uint8Array(buffer);
  }
  return Uint8Array.from(bytes);
}
