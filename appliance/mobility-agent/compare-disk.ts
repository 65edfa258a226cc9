import { randomUUID } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { MiB } from '../../shared/bytes.ts';
import type { DomainError } from '../../shared/fault.ts';
import type { Piece } from './disk-source.ts';
import type { PieceAnswer, ReadDisk } from './read-worker.ts';
import { Reader } from './reader.ts';

const pieceBytes = 1 * MiB;
/** Pieces on their way through the readers and the network: what bounds the agent's memory. */
const piecesInFlight = 24;
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
  const read = { handle: randomUUID(), path, direct };
  const readers = aliveReaders();
  const pieces = new PieceQueue({ readers, disk: read, known, sizeBytes, signal });
  try {
    for (let done = 0; done < sizeBytes;) {
      const { answer, giveBack } = await pieces.next();
      if ('errorCode' in answer) {
        giveBack();
        throw disk.unreadable(path, answer.errorCode);
      }
      done += answer.lengthBytes;
      yield { ...answer, bytes: Buffer.from(answer.buffer, 0, answer.lengthBytes), release: giveBack };
    }
  } finally {
    await pieces.close();
    for (const reader of readers) reader.release(read);
  }
}

/** Kept from one compare to the next, as are the buffers: to make them anew took longer than a small delta, and more memory. */
const readers: Reader[] = [];
const buffers: SharedArrayBuffer[] = [];

function aliveReaders(): Reader[] {
  const alive = readers.filter(({ isAlive }) => isAlive);
  while (alive.length < Math.min(readersAtMost, availableParallelism())) alive.push(new Reader());
  readers.splice(0, readers.length, ...alive);
  return alive;
}

interface PieceQueueOptions {
  readers: readonly Reader[];
  disk: ReadDisk;
  known: (offsetBytes: number, lengthBytes: number) => Uint8Array;
  sizeBytes: number;
  signal: AbortSignal;
}

/** Asks the readers in turn, as far ahead as there are free buffers, and gives the answers in the disk's order. */
class PieceQueue {
  readonly #options: PieceQueueOptions;
  /** Buffers with the readers or with whoever sends their pieces. */
  #inUse = 0;
  readonly #asked: Promise<PieceAnswer>[] = [];
  #askedBytes = 0;
  #asks = 0;
  #isOpen = true;
  #wake: () => void = () => {};

  constructor(options: PieceQueueOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** @throws the signal's reason */
  async next(): Promise<{ answer: PieceAnswer; giveBack: () => void }> {
    const { signal } = this.#options;
    for (;;) {
      signal.throwIfAborted();
      this.#ask();
      const asked = this.#asked.shift();
      if (asked) {
        const answer = await asked;
        return { answer, giveBack: () => this.#giveBack(answer.buffer) };
      }
      // Every buffer is with the sender: one comes back, or the sender fails and the signal says so.
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Asks for no more; resolves when the readers have answered what they were asked. */
  async close(): Promise<void> {
    this.#isOpen = false;
    for (const answer of await Promise.allSettled(this.#asked)) {
      if (answer.status === 'fulfilled') this.#giveBack(answer.value.buffer);
    }
  }

  #giveBack(buffer: SharedArrayBuffer): void {
    this.#inUse -= 1;
    buffers.push(buffer);
    this.#ask();
    this.#wake();
  }

  #ask(): void {
    const { readers, disk, known, sizeBytes, signal } = this.#options;
    while (this.#isOpen && !signal.aborted && this.#askedBytes < sizeBytes && this.#inUse < piecesInFlight) {
      const reader = readers[this.#asks % readers.length];
      if (!reader) return;
      const buffer = buffers.pop() ?? pageAligned();
      const offsetBytes = this.#askedBytes;
      const lengthBytes = Math.min(pieceBytes, sizeBytes - offsetBytes);
      const request = { disk, buffer, offsetBytes, lengthBytes, known: known(offsetBytes, lengthBytes) };
      const answer = reader.read(request);
      answer.catch(() => {}); // told by next, unless the compare has ended before
      this.#asked.push(answer);
      this.#inUse += 1;
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
