/**
 * Reads pieces of a disk away from the main thread, into memory that both see, and tells which of their blocks differ
 * from what is known.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { free } from '../../shared/replica/free.ts';
import { packData } from '../../shared/replica/frame.ts';
import {
  HASH_BLOCK_BYTES as blockBytes,
  HASH_BYTES as blockHashBytes,
  hashBlocks,
} from '../../shared/replica/hash-blocks.ts';

/** Asks for one piece: whole blocks, but for the disk's end. */
export interface PieceRequest {
  disk: ReadDisk;
  /** Where the bytes go; shared with the thread that asks, which leaves it alone until the answer. */
  buffer: SharedArrayBuffer;
  offsetBytes: number;
  lengthBytes: number;
  /** Hashes of the piece's blocks, as in a BlockMap. */
  known: Uint8Array;
}

/** Bytes of the piece that changed, or that nothing is known of. */
export interface ChangedRun {
  /** Within the piece. */
  startBytes: number;
  lengthBytes: number;
  zero: boolean;
  /** Where compressing paid, the run's bytes made way for one zstd frame of so many; 0: they are as they were. */
  packedBytes: number;
}

export type PieceAnswer =
  | {
      buffer: SharedArrayBuffer;
      offsetBytes: number;
      lengthBytes: number;
      hashes: Uint8Array;
      runs: ChangedRun[];
    }
  | { buffer: SharedArrayBuffer; offsetBytes: number; lengthBytes: number; errorCode: string };

/** A disk that is read from its beginning to its end. */
export interface ReadDisk {
  /** Another for each time it is read: the path may be another file's by then. */
  handle: string;
  path: string;
  /** Past the page cache. */
  direct: boolean;
}

const zeroHash = Buffer.alloc(blockHashBytes);
const files = new Map<string, number>();

parentPort?.on('message', (request: PieceRequest | { release: string }) => {
  if ('release' in request) release(request.release);
  else parentPort?.postMessage(answerTo(request));
});

function fileOf({ handle, path, direct }: ReadDisk): number {
  const file = files.get(handle) ?? openSync(path, constants.O_RDONLY | (direct ? constants.O_DIRECT : 0));
  files.set(handle, file);
  return file;
}

function release(handle: string): void {
  const file = files.get(handle);
  files.delete(handle);
  if (file !== undefined) closeSync(file);
}

function answerTo(request: PieceRequest): PieceAnswer {
  const { buffer, offsetBytes, lengthBytes } = request;
  try {
    return compare(fileOf(request.disk), request);
  } catch (error) {
    return { buffer, offsetBytes, lengthBytes, errorCode: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
}

function compare(file: number, request: PieceRequest): PieceAnswer {
  const { buffer, offsetBytes, lengthBytes, known } = request;
  const bytes = Buffer.from(buffer, 0, lengthBytes);
  readWhole(file, bytes, offsetBytes);
  const hashes = hashBlocks(bytes);
  const runs: ChangedRun[] = [];
  for (let at = 0; at < hashes.length; at += blockHashBytes) {
    if (hashes.compare(known, at, at + blockHashBytes, at, at + blockHashBytes) === 0) continue;
    const start = (at / blockHashBytes) * blockBytes;
    const zero = zeroHash.compare(hashes, at, at + blockHashBytes) === 0;
    addRun(runs, start, Math.min(blockBytes, lengthBytes - start), zero);
  }
  for (const run of runs) if (!run.zero) pack(bytes, run);
  return { buffer, offsetBytes, lengthBytes, hashes, runs };
}

/** Compresses a run in its place: the process server has less to read, and the network less to carry. */
function pack(bytes: Buffer, run: ChangedRun): void {
  const packed = packData(bytes.subarray(run.startBytes, run.startBytes + run.lengthBytes));
  if (!packed) return;
  packed.copy(bytes, run.startBytes);
  run.packedBytes = packed.length;
  free(packed);
}

function readWhole(file: number, bytes: Buffer, offsetBytes: number): void {
  for (let done = 0; done < bytes.length;) {
    const read = readSync(file, bytes, done, bytes.length - done, offsetBytes + done);
    if (read === 0) throw Object.assign(new Error('The disk became shorter.'), { code: 'ESHRUNK' });
    done += read;
  }
}

function addRun(runs: ChangedRun[], startBytes: number, lengthBytes: number, zero: boolean): void {
  const last = runs.at(-1);
  if (last && last.zero === zero && last.startBytes + last.lengthBytes === startBytes)
    last.lengthBytes += lengthBytes;
  else runs.push({ startBytes, lengthBytes, zero, packedBytes: 0 });
}
