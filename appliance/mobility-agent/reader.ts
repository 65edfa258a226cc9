import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { PieceAnswer, PieceRequest } from './read-worker.ts';

/** A thread that reads and hashes pieces of one disk, one after the other. */
export class Reader {
  readonly #worker: Worker;
  readonly #waiting: { resolve: (answer: PieceAnswer) => void; reject: (reason: Error) => void }[] = [];
  #isOpen = true;

  constructor(path: string, options: { direct: boolean }) {
    const script = new URL(`./read-worker${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(script, { workerData: { path, ...options } });
    this.#worker.on('message', (answer: PieceAnswer) => this.#waiting.shift()?.resolve(answer));
    this.#worker.on('error', (error) =>
      this.#end(error instanceof Error ? error : new Error('A reading thread died.')),
    );
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The buffer is the thread's until the answer. */
  read(request: PieceRequest): Promise<PieceAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  /** Ends the thread; what it was asked for is rejected. */
  async close(): Promise<void> {
    this.#end(new Error('The disk is no longer read.'));
    await this.#worker.terminate();
  }

  #end(reason: Error): void {
    this.#isOpen = false;
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}
