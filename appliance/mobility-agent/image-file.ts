import { accessSync, constants, statSync, type BigIntStats } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import type { DiskSource, Piece } from './disk-source.ts';
import type { PieceAnswer, PieceRequest } from './read-worker.ts';

const pieceBytes = 1 * MiB;
/** Pieces on their way through the reader and the network: what bounds the agent's memory. */
const piecesInFlight = 24;

/** A raw disk image in a file that nobody writes to while a point is made. */
export class ImageFile implements DiskSource {
  readonly diskId: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly #worker: Worker;
  readonly #buffers: ArrayBuffer[] = [];

  /** @throws DomainError RemoteFailure when the file is missing, unreadable, empty, not of whole sectors, or a device. */
  constructor(diskId: string, path: string) {
    this.diskId = diskId;
    this.path = path;
    this.sizeBytes = sizeOf(path);
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#worker = new Worker(new URL(`./read-worker.${extension}`, import.meta.url), {
      workerData: { path },
    });
    for (let count = 0; count < piecesInFlight; count += 1) this.#buffers.push(new ArrayBuffer(pieceBytes));
  }

  stamp(): string {
    const stat = statSync(this.path, { bigint: true });
    return `${stat.ino}-${stat.size}-${stat.mtimeNs}-${stat.ctimeNs}`;
  }

  async *compare(
    known: (offsetBytes: number, lengthBytes: number) => Uint8Array,
    signal: AbortSignal,
  ): AsyncIterable<Piece> {
    const answers = new AnswerQueue(this.#worker);
    let asked = 0;
    let answered = 0;
    let open = true;
    const ask = (): void => {
      while (open && asked < this.sizeBytes) {
        const buffer = this.#buffers.pop();
        if (!buffer) return;
        const lengthBytes = Math.min(pieceBytes, this.sizeBytes - asked);
        const request: PieceRequest = {
          buffer,
          offsetBytes: asked,
          lengthBytes,
          known: known(asked, lengthBytes),
        };
        this.#worker.postMessage(request, [buffer]);
        asked += lengthBytes;
      }
    };
    try {
      while (answered < this.sizeBytes) {
        signal.throwIfAborted();
        ask();
        const answer = await answers.next();
        answered += answer.lengthBytes;
        const { buffer } = answer;
        const release = (): void => {
          this.#buffers.push(buffer);
          ask();
        };
        if ('errorCode' in answer) {
          release();
          throw unreadable(this.path, answer.errorCode);
        }
        yield { ...answer, bytes: Buffer.from(buffer, 0, answer.lengthBytes), release };
      }
    } finally {
      open = false;
      while (answered < asked) {
        const { buffer, lengthBytes } = await answers.next();
        answered += lengthBytes;
        this.#buffers.push(buffer);
      }
      answers.close();
    }
  }

  async close(): Promise<void> {
    this.#worker.postMessage('close');
    await this.#worker.terminate();
  }
}

/** The reader's answers in order, and its death as an error. */
class AnswerQueue {
  readonly #worker: Worker;
  readonly #waiting: PieceAnswer[] = [];
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  readonly #onMessage = (answer: PieceAnswer): void => {
    this.#waiting.push(answer);
    this.#wake?.();
  };
  readonly #onError = (error: Error): void => {
    this.#failure = error;
    this.#wake?.();
  };

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', this.#onMessage);
    worker.on('error', this.#onError);
  }

  async next(): Promise<PieceAnswer> {
    for (;;) {
      const answer = this.#waiting.shift();
      if (answer) return answer;
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#worker.off('message', this.#onMessage);
    this.#worker.off('error', this.#onError);
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
