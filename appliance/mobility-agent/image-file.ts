import { accessSync, constants, statSync, type BigIntStats } from 'node:fs';
import { availableParallelism } from 'node:os';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import type { DiskSource, Piece } from './disk-source.ts';
import type { PieceAnswer } from './read-worker.ts';
import { Reader } from './reader.ts';

const pieceBytes = 1 * MiB;
/** Pieces on their way through the readers and the network: what bounds the agent's memory. */
const piecesInFlight = 32;
/** The machine's own work comes first: no more than two of its cores are read and hashed with. */
const readersAtMost = 2;

/** A raw disk image in a file that nobody writes to while a point is made. */
export class ImageFile implements DiskSource {
  readonly diskId: string;
  readonly path: string;
  readonly sizeBytes: number;

  /** @throws DomainError RemoteFailure when the file is missing, unreadable, empty, not of whole sectors; NotSupported for a device. */
  constructor(diskId: string, path: string) {
    this.diskId = diskId;
    this.path = path;
    this.sizeBytes = sizeOf(path);
  }

  stamp(): string {
    const stat = statOf(this.path);
    return `${stat.ino}-${stat.size}-${stat.mtimeNs}-${stat.ctimeNs}`;
  }

  async *compare(
    known: (offsetBytes: number, lengthBytes: number) => Uint8Array,
    signal: AbortSignal,
  ): AsyncIterable<Piece> {
    const readers = Array.from(
      { length: Math.min(readersAtMost, availableParallelism()) },
      () => new Reader(this.path),
    );
    try {
      const pieces = new PieceQueue({ readers, known, sizeBytes: this.sizeBytes, signal });
      for (let done = 0; done < this.sizeBytes;) {
        const { answer, release } = await pieces.next();
        if ('errorCode' in answer) throw unreadable(this.path, answer.errorCode);
        done += answer.lengthBytes;
        yield { ...answer, bytes: Buffer.from(answer.buffer, 0, answer.lengthBytes), release };
      }
    } finally {
      await Promise.all(readers.map((reader) => reader.close()));
    }
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
  readonly #free = Array.from({ length: piecesInFlight }, () => new ArrayBuffer(pieceBytes));
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

  #release(buffer: ArrayBuffer): void {
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

function sizeOf(path: string): number {
  const stat = statOf(path);
  if (stat.isBlockDevice()) {
    throw new DomainError({
      code: 'NotSupported',
      message: `${path} is a block device; this mobility agent protects raw image files only.`,
      target: path,
      recommendedAction: 'Give the path of a raw disk image.',
    });
  }
  if (!stat.isFile()) throw unusable(path, 'it is not a file');
  const sizeBytes = Number(stat.size);
  if (sizeBytes === 0) throw unusable(path, 'it is empty');
  if (sizeBytes % 512 !== 0) throw unusable(path, `its size, ${sizeBytes} bytes, is not a multiple of 512`);
  return sizeBytes;
}

function statOf(path: string): BigIntStats {
  try {
    accessSync(path, constants.R_OK);
    return statSync(path, { bigint: true });
  } catch (error) {
    throw unreadable(path, (error as NodeJS.ErrnoException).code ?? 'EIO');
  }
}

function unreadable(path: string, code: string): DomainError {
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'the agent may not read it',
    ESHRUNK: 'it became shorter while it was read',
    EIO: 'reading it gives an input/output error',
  };
  return unusable(path, reasons[code] ?? `opening it gives ${code}`);
}

function unusable(path: string, reason: string): DomainError {
  return new DomainError({
    code: 'RemoteFailure',
    message: `The disk ${path} can not be protected: ${reason}.`,
    target: path,
    recommendedAction: "Correct the path or the file, then start the agent again with '--disk ID=PATH'.",
  });
}
