import { availableParallelism } from 'node:os';
import { MiB } from '../../shared/bytes.ts';
import type { DomainError } from '../../shared/fault.ts';
import type { Piece } from './disk-source.ts';
import type { PieceAnswer } from './read-worker.ts';
import { Reader } from './reader.ts';

const pieceBytes = 1 * MiB;
/** Pieces on their way through the readers and the network: what bounds the agent's memory. */
const piecesInFlight = 32;
/** The machine's own work comes first: no more than two of its cores are read and hashed with. */
const readersAtMost = 2;

/** What is read. */
interface ComparedDisk {
  path: string;
  sizeBytes: number;
  /** Past the page cache, as a device that is in use must be read. */
  direct: boolean;
  /** Says in words why reading failed. */
  unreadable: (path: string, errorCode: string) => DomainError;
}

/** Reads a whole disk in order, in threads, and tells what differs from `known`: see DiskSource. */
export async function* compareDisk(
  disk: ComparedDisk,
  known: (offsetBytes: number, lengthBytes: number) => Uint8Array,
  signal: AbortSignal,
): AsyncGenerator<Piece, void, undefined> {
  const { path, sizeBytes, direct } = disk;
  const readers = Array.from(
    { length: Math.min(readersAtMost, availableParallelism()) },
    () => new Reader(path, { direct }),
  );
  try {
    const pieces = new PieceQueue({ readers, known, sizeBytes, signal });
    for (let done = 0; done < sizeBytes;) {
      const { answer, release } = await pieces.next();
      if ('errorCode' in answer) throw disk.unreadable(path, answer.errorCode);
      done += answer.lengthBytes;
      yield { ...answer, bytes: Buffer.from(answer.buffer, 0, answer.lengthBytes), release };
    }
  } finally {
    await Promise.all(readers.map((reader) => reader.close()));
  }
}

interface PieceQueueOptions {
  readers: readonly Reader[];
  known: (offsetBytes: number, lengthBytes: number) => Uint8Array;
  sizeBytes: number;
  signal: AbortSignal;
}

/** Asks the readers in turn, as far ahead as there are free buffers, and gives the answers in the disk's order. */
class PieceQueue {
  readonly #options: PieceQueueOptions;
  readonly #free = Array.from({ length: piecesInFlight }, pageAligned);
  readonly #asked: Promise<PieceAnswer>[] = [];
  #askedBytes = 0;
  #asks = 0;
  #wake: () => void = () => {};

  constructor(options: PieceQueueOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** @throws the signal's reason */
  async next(): Promise<{ answer: PieceAnswer; release: () => void }> {
    const { signal } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      this.#ask();
      const asked = this.#asked.shift();
      if (asked) {
        const answer = await asked;
        return { answer, release: () => this.#release(answer.buffer) };
      }
      // Every buffer is with the sender: one comes back, or the sender fails and the signal says so.
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #release(buffer: SharedArrayBuffer): void {
    this.#free.push(buffer);
    if (!this.#options.signal.aborted) this.#ask();
    this.#wake();
  }

  #ask(): void {
    const { readers, known, sizeBytes } = this.#options;
    while (this.#askedBytes < sizeBytes) {
      const reader = readers[this.#asks % readers.length];
      const buffer = reader?.isOpen === true ? this.#free.pop() : undefined;
      if (!reader || !buffer) return;
      const offsetBytes = this.#askedBytes;
      const lengthBytes = Math.min(pieceBytes, sizeBytes - offsetBytes);
      const answer = reader.read({
        buffer,
        offsetBytes,
        lengthBytes,
        known: known(offsetBytes, lengthBytes),
      });
      answer.catch(() => {}); // told by next, unless the compare has ended before
      this.#asked.push(answer);
      this.#askedBytes += lengthBytes;
      this.#asks += 1;
    }
  }
}

/**
 * Memory that O_DIRECT reads into: what could be resized is mapped memory of its own, else it lies anywhere. Shared with
 * the readers: to hand it over and back for each piece keeps the collector busier than all else.
 */
function pageAligned(): SharedArrayBuffer {
  return new SharedArrayBuffer(pieceBytes, { maxByteLength: pieceBytes });
}
