import { createHash, randomBytes } from 'node:crypto';
import { link, mkdir, open, readdir, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StoreError } from './replica-store.ts';
import type { BlobEntry, BlobRange, PutOptions, ReplicaStore } from './replica-store.ts';

const NAME = /^[a-z0-9][a-z0-9-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/;
const TEMPORARY = '.writing-';

/** A container in a folder of the local disk: one file a blob. */
export class FolderReplicaStore implements ReplicaStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async find(name: string, maxBytes: number): Promise<Buffer | undefined> {
    const found = await this.findRange(name, 0, maxBytes);
    if (found !== undefined && found.sizeBytes > maxBytes) throw tooLarge(name, found.sizeBytes, maxBytes);
    return found?.bytes;
  }

  async findRange(name: string, offset: number, length: number): Promise<BlobRange | undefined> {
    const file = await ifPresent(open(this.#path(name), 'r'));
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, size - offset)));
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return { bytes: bytes.subarray(0, filled), sizeBytes: size };
    } finally {
      await file.close();
    }
  }

  async *list(prefix: string): AsyncGenerator<BlobEntry> {
    const names = await ifPresent(readdir(this.#folder, { recursive: true }));
    for (const name of (names ?? []).sort()) {
      if (!name.startsWith(prefix) || name.includes(TEMPORARY)) continue;
      const entry = await ifPresent(stat(join(this.#folder, name)));
      if (entry?.isFile() === true) yield { name, sizeBytes: entry.size, writtenAtMs: entry.mtimeMs };
    }
  }

  async putIfAbsent(
    name: string,
    bytes: Uint8Array,
    options: PutOptions = {},
  ): Promise<'created' | 'exists'> {
    const path = this.#path(name);
    if (options.md5 !== undefined && createHash('md5').update(bytes).digest('base64') !== options.md5) {
      throw new StoreError(`${name} arrived with another MD5`, { code: 'Md5Mismatch', isRetryable: false });
    }
    await mkdir(dirname(path), { recursive: true });
    const temporary = join(dirname(path), `${TEMPORARY}${randomBytes(8).toString('hex')}`);
    try {
      await writeDurably(temporary, bytes);
      await link(temporary, path);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return 'exists';
      throw new StoreError(`cannot write ${name} in ${this.#folder}`, fault(error), { cause: error });
    } finally {
      await ifPresent(unlink(temporary));
    }
    await syncFolder(dirname(path));
    return 'created';
  }

  async remove(name: string): Promise<'removed' | 'absent'> {
    const path = this.#path(name);
    const isThere = (await ifPresent(stat(path))) !== undefined;
    await ifPresent(unlink(path));
    if (isThere) await syncFolder(dirname(path));
    return isThere ? 'removed' : 'absent';
  }

  #path(name: string): string {
    if (!NAME.test(name))
      throw new StoreError(`not a blob name: ${name}`, { code: 'InvalidName', isRetryable: false });
    return join(this.#folder, name);
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function ifPresent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new StoreError('the folder of the replica log cannot be read', fault(error), { cause: error });
  }
}

function tooLarge(name: string, sizeBytes: number, maxBytes: number): StoreError {
  const message = `${name} has ${sizeBytes} bytes, more than the ${maxBytes} allowed`;
  return new StoreError(message, { code: 'TooLarge', isRetryable: false });
}

function fault(error: unknown): { code: string; isRetryable: boolean } {
  const code = codeOf(error) ?? 'Unknown';
  return { code, isRetryable: code === 'ENOSPC' || code === 'EAGAIN' || code === 'EMFILE' };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
