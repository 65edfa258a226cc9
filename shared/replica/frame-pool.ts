import { availableParallelism } from 'node:os';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Extent, FrameSlot, PackedExtent } from './frame.ts';
import type { FrameJob, FrameJobResult } from './frame-job.ts';
import type { FileDigest } from './segment-writer.ts';

const SHA256_BYTES = 32;
/** Jobs handed to a thread ahead of time, so that it never waits for the main thread. */
const JOBS_PER_THREAD = 2;

interface Job {
  job: FrameJob;
  transfer: ArrayBuffer[];
  resolve: (bytes: Buffer) => void;
  reject: (reason: Error) => void;
}

interface Thread {
  worker: Worker;
  jobs: Map<number, Job>;
}

/**
 * Seals, opens and hashes in worker threads. Bytes are transferred, not copied: a buffer given to the pool that owns
 * its whole ArrayBuffer belongs to the pool from the call on and is empty afterwards. A view into a larger buffer is copied first; a shared buffer is neither copied
 * nor taken, and must stay as it is until the answer. The queue is not bounded: callers await what they give, and look at `pending`.
 */
export class FramePool {
  readonly #threads: Thread[];
  #queue: Job[] = [];
  #nextId = 0;
  #isClosed = false;

  /** Starts the threads; 2 at most where nothing else is said, as one core must stay with the main thread's work. */
  constructor(options: { threads?: number } = {}) {
    const count = options.threads ?? Math.min(2, availableParallelism());
    this.#threads = Array.from({ length: Math.max(1, count) }, () => this.#start());
  }

  /** Jobs given and not yet answered. */
  get pending(): number {
    return this.#queue.length + this.#threads.reduce((sum, thread) => sum + thread.jobs.size, 0);
  }

  /** `sealFrame` in a thread. */
  seal(slot: FrameSlot, extent: Extent): Promise<Buffer> {
    const data = handOver(extent.data);
    return this.#run({ kind: 'seal', slot, extent: { ...extent, data } }, data);
  }

  /** `sealPackedFrame` in a thread. */
  sealPacked(slot: FrameSlot, extent: PackedExtent): Promise<Buffer> {
    const packed = handOver(extent.packed);
    return this.#run({ kind: 'sealPacked', slot, extent: { ...extent, packed } }, packed);
  }

  /** `openFrame` in a thread. */
  open(slot: Omit<FrameSlot, 'number'>, frame: Uint8Array): Promise<Buffer> {
    const bytes = handOver(frame);
    return this.#run({ kind: 'open', slot, frame: bytes }, bytes);
  }

  /** `hashBlocks` in a thread. The bytes are copied, not transferred: who hashes them needs them afterwards. */
  hash(data: Uint8Array): Promise<Buffer> {
    const bytes = data.buffer instanceof SharedArrayBuffer ? data : new Uint8Array(data);
    return this.#run({ kind: 'hash', data: bytes }, bytes);
  }

  /** The hashes of a whole file, read and hashed in a thread. */
  async digest(path: string): Promise<FileDigest> {
    const bytes = await this.#run({ kind: 'digest', path });
    return {
      sha256: bytes.toString('hex', 0, SHA256_BYTES),
      md5: bytes.toString('base64', SHA256_BYTES),
    };
  }

  /** Ends the threads. What is still pending is rejected. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const closed = new Error('the frame pool was closed');
    for (const job of this.#queue) job.reject(closed);
    this.#queue = [];
    await Promise.all(
      this.#threads.map(async (thread) => {
        for (const job of thread.jobs.values()) job.reject(closed);
        thread.jobs.clear();
        await thread.worker.terminate();
      }),
    );
  }

  #run(job: FrameJob, bytes?: Uint8Array): Promise<Buffer> {
    if (this.#isClosed) return Promise.reject(new Error('the frame pool was closed'));
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, transfer: bytes === undefined ? [] : transferOf(bytes), resolve, reject });
      this.#dispatch();
    });
  }

  #dispatch(): void {
    for (;;) {
      const thread = this.#threads.reduce((a, b) => (b.jobs.size < a.jobs.size ? b : a));
      const next = thread.jobs.size < JOBS_PER_THREAD ? this.#queue.shift() : undefined;
      if (next === undefined) return;
      this.#give(thread, next);
    }
  }

  #give(thread: Thread, next: Job): void {
    const id = this.#nextId;
    this.#nextId += 1;
    try {
      thread.worker.postMessage({ id, job: next.job }, next.transfer);
    } catch (error) {
      next.reject(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (thread.jobs.size === 0) thread.worker.ref();
    thread.jobs.set(id, next);
  }

  #start(): Thread {
    const script = new URL(`./frame-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(script);
    const thread = { worker, jobs: new Map<number, Job>() };
    worker.unref();
    worker.on('message', (result: FrameJobResult) => this.#settle(thread, result));
    worker.on('error', (error) => this.#replace(thread, error));
    return thread;
  }

  #settle(thread: Thread, result: FrameJobResult): void {
    const job = thread.jobs.get(result.id);
    thread.jobs.delete(result.id);
    if (thread.jobs.size === 0) thread.worker.unref();
    if (job !== undefined && 'error' in result) job.reject(new Error(result.error));
    else if (job !== undefined && 'bytes' in result) job.resolve(Buffer.from(result.bytes.buffer));
    this.#dispatch();
  }

  /** A thread that died takes its jobs with it (their bytes are gone), not the pool. */
  #replace(thread: Thread, cause: unknown): void {
    const at = this.#threads.indexOf(thread);
    if (at >= 0 && !this.#isClosed) this.#threads[at] = this.#start();
    for (const job of thread.jobs.values())
      job.reject(new Error('a thread of the frame pool died', { cause }));
    thread.jobs.clear();
    if (!this.#isClosed) this.#dispatch();
  }
}

/** Bytes that may leave this thread: shared ones, those that own their buffer, or a copy. */
function handOver(bytes: Uint8Array): Uint8Array {
  const { buffer, byteLength } = bytes;
  const isMovable = buffer instanceof SharedArrayBuffer || byteLength === buffer.byteLength;
  return isMovable ? bytes : new Uint8Array(bytes);
}

function transferOf({ buffer }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer ? [buffer] : [];
}
