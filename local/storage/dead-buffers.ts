import { fdatasync, type WriteStream } from 'node:fs';
import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';

import { free } from '../../shared/replica/free.ts';

// Every byte that is uploaded passes Azurite in two buffers, one that came from the network and one that is read back for
// its MD5. V8 looks for dead buffers whenever 64 MB of them may have piled up, and marks all objects there are each time:
// that took longer than all else. So buffers are given back where they are known to be dead.

/** Where Azurite keeps content on disk: the method that writes a request's body into a file. */
export type PipingExtentStore = {
  streamPipe(from: Readable, to: WriteStream, file?: number): Promise<number>;
};

type Checksums = {
  computeTransactionalChecksums: (stream: Readable, ...rest: unknown[]) => Promise<unknown>;
};

let isFreed = false;

/** Gives back what was written. */
export function freeWritten(store: PipingExtentStore): void {
  store.streamPipe = async (from, to, file) => {
    const count = await pipe(from, to);
    if (file !== undefined) await synced(file);
    return count;
  };
}

/** Gives back what was read for a checksum, in this process from now on. */
export function freeChecked(): void {
  if (isFreed) return;
  isFreed = true;
  const require = createRequire(import.meta.url);
  const utils = require('azurite/dist/src/common/utils/utils') as Checksums;
  const compute = utils.computeTransactionalChecksums;
  utils.computeTransactionalChecksums = (stream, ...rest) => {
    const computed = compute(stream, ...rest);
    stream.on('data', free); // after the listener that computes; were it before, every upload would be refused
    return computed;
  };
}

function pipe(from: Readable, to: WriteStream): Promise<number> {
  return new Promise((resolve, reject) => {
    let count = 0;
    from.on('data', (chunk: Buffer) => {
      count += chunk.length;
      const isTaken = to.write(chunk, (error) => {
        if (!error) free(chunk);
      });
      if (!isTaken) from.pause();
    });
    // A body that breaks off ends the file's part too: its length then is not the one promised.
    from.on('close', () => to.end());
    from.on('end', () => to.end());
    from.on('error', reject);
    to.on('drain', () => from.resume());
    to.on('finish', () => resolve(count));
    to.on('error', reject);
  });
}

function synced(file: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(file, (error) => (error ? reject(error) : resolve()));
  });
}
