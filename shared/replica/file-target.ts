import { open, rename, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { FinishedDisk, RestoreTarget } from './restore-target.ts';
import { stretchesWithData } from './sparse.ts';
import { encodeVhdFooter } from './vhd.ts';

/** What a restored file is: the disk's bytes alone, or a fixed VHD. */
export type FileFormat = 'raw' | 'vhd';

/** A sparse file. While parts are missing it is called `<path>.partial`; `finish` gives it its name. */
export class FileTarget implements RestoreTarget {
  readonly #path: string;
  readonly #format: FileFormat;
  #file: Promise<FileHandle> | undefined;

  constructor(path: string, format: FileFormat) {
    this.#path = path;
    this.#format = format;
  }

  async prepare(sizeBytes: number): Promise<void> {
    if (await isThere(this.#path))
      throw new Error(`${this.#path} exists already: remove it, or restore to another path`);
    const file = await open(this.#partial, 'w', 0o600);
    try {
      await file.truncate(sizeBytes);
    } finally {
      await file.close();
    }
  }

  async write(offsetBytes: number, data: Uint8Array): Promise<void> {
    this.#file ??= open(this.#partial, 'r+');
    const file = await this.#file;
    for (const stretch of stretchesWithData(offsetBytes, data)) await writeAll(file, stretch);
  }

  async close(): Promise<void> {
    const file = await this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      await file.datasync();
    } finally {
      await file.close();
    }
  }

  async finish(disk: FinishedDisk): Promise<void> {
    await this.close();
    if (!(await isThere(this.#partial)) && (await isThere(this.#path))) return; // finished before
    const file = await open(this.#partial, 'r+');
    try {
      if (this.#format === 'vhd')
        await writeAll(file, { offsetBytes: disk.sizeBytes, data: encodeVhdFooter(disk) });
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(this.#partial, this.#path);
    const folder = await open(dirname(this.#path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  get #partial(): string {
    return `${this.#path}.partial`;
  }
}

async function writeAll(
  file: FileHandle,
  { offsetBytes, data }: { offsetBytes: number; data: Uint8Array },
): Promise<void> {
  let written = 0;
  while (written < data.length) {
    const { bytesWritten } = await file.write(data, written, data.length - written, offsetBytes + written);
    written += bytesWritten;
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}
