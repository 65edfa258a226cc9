import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { PieceAnswer, PieceRequest, ReadDisk } from './read-worker.ts';

/** A thread that reads and hashes pieces of disks, one after the other. */
export class Reader {
  readonly #worker: Worker;
  readonly #waiting: { resolve: (answer: PieceAnswer) => void; reject: (reason: Error) => void }[] = [];
  #isAlive = true;

  constructor() {
    const script = new URL(`./read-worker${extname(import.meta.url)}`, import.meta.url);
    this.#worker = new Worker(script);
    this.#worker.on('message', (answer: PieceAnswer) => this.#answered(answer));
    // Sooner it has no effect. A thread without work keeps no process alive.
    this.#worker.once('online', () => this.#unrefIdle());
    this.#worker.on('error', (error) => {
      this.#isAlive = false;
      const reason = new Error('A thread that reads disks died.', { cause: error });
      for (const { reject } of this.#waiting.splice(0)) reject(reason);
    });
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** The buffer is the thread's until the answer. Answers come in the order of the calls. */
  read(request: PieceRequest): Promise<PieceAnswer> {
    if (!this.#isAlive) return Promise.reject(new Error('The thread that read the disk died.'));
    return new Promise((resolve, reject) => {
      this.#worker.ref();
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request);
    });
  }

  /** Lets go of the disk's file. */
  release(disk: ReadDisk): void {
    this.#worker.postMessage({ release: disk.handle });
  }

  #answered(answer: PieceAnswer): void {
    this.#waiting.shift()?.resolve(answer);
    this.#unrefIdle();
  }

  #unrefIdle(): void {
    if (this.#waiting.length === 0) this.#worker.unref();
  }
}
