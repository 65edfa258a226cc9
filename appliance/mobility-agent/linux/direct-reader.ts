import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { MiB } from '../../../shared/bytes.ts';
import { DomainError } from '../../../shared/fault.ts';
import type { Extent } from './dirty-map.ts';

/** The longest extent that is read at once. */
export const readBytesAtMost = 1 * MiB;
/** As many as the runtime has threads for files. */
const readsAtOnce = 4;

/** Reads extents of a device past the page cache, which may hold older blocks than the disk. */
export class DirectReader {
  readonly #path: string;
  readonly #slots: ArrayBuffer[];
  #file: FileHandle | undefined;

  constructor(path: string) {
    this.#path = path;
    // A buffer that could be resized is mapped memory of its own and so aligned as O_DIRECT wants it; others are not.
    this.#slots = Array.from(
      { length: readsAtOnce },
      () => new ArrayBuffer(readBytesAtMost, { maxByteLength: readBytesAtMost }),
    );
  }

  /** Opens the device, so that the first read need not. @throws DomainError RemoteFailure */
  async open(): Promise<void> {
    try {
      this.#file ??= await open(this.#path, constants.O_RDONLY | constants.O_DIRECT);
    } catch (error) {
      throw unreadable(this.#path, (error as NodeJS.ErrnoException).code ?? 'EIO');
    }
  }

  /**
   * Reads extents, none longer than {@link readBytesAtMost}, a few at once and in no certain order.
   *
   * @param take its bytes are valid until it resolves
   * @throws DomainError RemoteFailure, or what `take` throws
   */
  async read(
    extents: Iterable<Extent>,
    take: (extent: Extent, bytes: Buffer) => Promise<void> | void,
  ): Promise<void> {
    await this.open();
    const source = extents[Symbol.iterator]();
    let isOver = false;
    const work = this.#slots.map(async (slot) => {
      while (!isOver) {
        const next = source.next();
        if (next.done === true) return;
        const bytes = Buffer.from(slot, 0, next.value.lengthBytes);
        try {
          await this.#fill(bytes, next.value.offsetBytes);
          await take(next.value, bytes);
        } catch (error) {
          isOver = true;
          throw error;
        }
      }
    });
    const outcomes = await Promise.allSettled(work); // nobody uses a slot any more
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #fill(bytes: Buffer, offsetBytes: number): Promise<void> {
    if (!this.#file) throw new Error('The device is not open.');
    try {
      const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, offsetBytes);
      if (bytesRead === bytes.length) return;
    } catch (error) {
      throw unreadable(this.#path, (error as NodeJS.ErrnoException).code ?? 'EIO');
    }
    throw unreadable(this.#path, 'ESHRUNK');
  }
}

/** In words, why a device could not be read. */
export function unreadable(path: string, code: string): DomainError {
  const reasons: Record<string, string> = {
    ENOENT: 'it is gone',
    ENXIO: 'it is gone',
    ENODEV: 'it is gone',
    EACCES: 'the agent may not read it',
    ESHRUNK: 'it became shorter while it was read',
    EIO: 'reading it gives an input/output error',
  };
  return new DomainError({
    code: 'RemoteFailure',
    message: `The disk ${path} can not be protected: ${reasons[code] ?? `reading it gives ${code}`}.`,
    target: path,
    recommendedAction: 'Look at the disk; the agent tries again by itself.',
  });
}
