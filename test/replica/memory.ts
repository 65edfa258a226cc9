import { createHash } from 'node:crypto';
import { StoreError } from '../../shared/replica/replica-store.ts';
import type { BlobEntry, BlobRange, PutOptions, ReplicaStore } from '../../shared/replica/replica-store.ts';
import type { RestoreTarget } from '../../shared/replica/restore-target.ts';

/** A container in memory; `blobs` is open to whoever plays the thief. Under the same contract suite as the others. */
export class MemoryReplicaStore implements ReplicaStore {
  readonly blobs = new Map<string, Buffer>();

  async find(name: string, maxBytes: number): Promise<Buffer | undefined> {
    const found = await this.findRange(name, 0, maxBytes);
    if (found !== undefined && found.sizeBytes > maxBytes) {
      throw new StoreError(`${name} is too large`, { code: 'TooLarge', isRetryable: false });
    }
    return found?.bytes;
  }

  findRange(name: string, offset: number, length: number): Promise<BlobRange | undefined> {
    const bytes = this.blobs.get(name);
    const range = bytes && {
      bytes: Buffer.from(bytes.subarray(offset, offset + length)),
      sizeBytes: bytes.length,
    };
    return Promise.resolve(range);
  }

  async *list(prefix: string): AsyncGenerator<BlobEntry> {
    for (const [name, { length }] of [...this.blobs].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (name.startsWith(prefix)) yield { name, sizeBytes: length, writtenAtMs: 0 };
    }
  }

  putIfAbsent(name: string, bytes: Uint8Array, options: PutOptions = {}): Promise<'created' | 'exists'> {
    if (options.md5 !== undefined && createHash('md5').update(bytes).digest('base64') !== options.md5) {
      return Promise.reject(new StoreError('other bytes', { code: 'Md5Mismatch', isRetryable: false }));
    }
    if (this.blobs.has(name)) return Promise.resolve('exists');
    this.blobs.set(name, Buffer.from(bytes));
    return Promise.resolve('created');
  }

  remove(name: string): Promise<'removed' | 'absent'> {
    return Promise.resolve(this.blobs.delete(name) ? 'removed' : 'absent');
  }
}

/** A disk in memory. */
export class MemoryTarget implements RestoreTarget {
  bytes = Buffer.alloc(0);
  isFinished = false;

  prepare(sizeBytes: number): Promise<void> {
    this.bytes = Buffer.alloc(sizeBytes);
    return Promise.resolve();
  }

  write(offsetBytes: number, data: Uint8Array): Promise<void> {
    if (offsetBytes + data.length > this.bytes.length)
      return Promise.reject(new RangeError('behind the end of the disk'));
    this.bytes.set(data, offsetBytes);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  finish(): Promise<void> {
    this.isFinished = true;
    return Promise.resolve();
  }
}
