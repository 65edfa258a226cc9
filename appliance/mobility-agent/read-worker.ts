/**
 * Reads pieces of a disk away from the main thread, into memory that both see, and tells which of their blocks differ
 * from what is known.
 */
import { constants, openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import {
  HASH_BLOCK_BYTES as blockBytes,
  HASH_BYTES as blockHashBytes,
  hashBlocks,
} from '../../shared/replica/hash-blocks.ts';

/** Asks for one piece: whole blocks, but for the disk's end. */
export interface PieceRequest {
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

interface ReadDisk {
  path: string;
  direct: boolean;
}

const zeroHash = Buffer.alloc(blockHashBytes);

if (parentPort) serve(parentPort, workerData as ReadDisk); // given by Reader only

function serve(port: NonNullable<typeof parentPort>, { path, direct }: ReadDisk): void {
  const flags = constants.O_RDONLY | (direct ? constants.O_DIRECT : 0);
  let file: number | undefined;
  port.on('message', (request: PieceRequest) => {
    port.postMessage(answerTo(request, () => (file ??= openSync(path, flags))));
  });
}

function answerTo(request: PieceRequest, open: () => number): PieceAnswer {
  const { buffer, offsetBytes, lengthBytes } = request;
  try {
    return compare(open(), request);
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
  return { buffer, offsetBytes, lengthBytes, hashes, runs };
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
  else runs.push({ startBytes, lengthBytes, zero });
}
