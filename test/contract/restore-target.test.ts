import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ContainerClient } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { KiB, MiB } from '../../shared/bytes.ts';
import { FileTarget } from '../../shared/replica/file-target.ts';
import { PageBlobTarget } from '../../shared/replica/page-blob-target.ts';
import type { FinishedDisk, RestoreTarget } from '../../shared/replica/restore-target.ts';
import { encodeVhdFooter } from '../../shared/replica/vhd.ts';
import { noise } from '../replica/recorder.ts';

let folder: string;
let storage: Storage;
let container: ContainerClient;
let made = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'secondsite-target-'));
  storage = await startStorage({ dataFolder: folder, inMemory: true });
  container = new ContainerClient(storage.connectionString, 'disks');
  await container.create();
});

afterAll(async () => {
  await storage.close();
  await rm(folder, { recursive: true, force: true });
});

const sizeBytes = 5 * MiB + 3 * 512;
const disk: FinishedDisk = {
  sizeBytes,
  identity: 'item\n1\ndisk',
  time: new Date('2026-01-02T03:04:05.678Z'),
};

/** A target, another process's hold of the same one, its bytes when finished, and what those should begin and end with. */
interface Subject {
  target: RestoreTarget;
  again: RestoreTarget;
  read: () => Promise<Buffer>;
  virtualBytes: number;
  footerBytes: number;
}

function file(format: 'raw' | 'vhd'): Subject {
  const path = join(folder, `disk-${(made += 1)}.${format}`);
  return {
    target: new FileTarget(path, format),
    again: new FileTarget(path, format),
    read: () => readFile(path),
    virtualBytes: sizeBytes,
    footerBytes: format === 'vhd' ? 512 : 0,
  };
}

function pageBlob(): Subject {
  const blob = container.getPageBlobClient(`disk-${(made += 1)}.vhd`);
  return {
    target: new PageBlobTarget(blob),
    again: new PageBlobTarget(blob),
    read: () => blob.downloadToBuffer(),
    virtualBytes: 6 * MiB,
    footerBytes: 512,
  };
}

const implementations: [string, () => Subject][] = [
  ['a raw file', () => file('raw')],
  ['a fixed VHD file', () => file('vhd')],
  ['a page blob', pageBlob],
];

describe.each(implementations)('a restore target that is %s', (_, create) => {
  it('holds what was written, by whom ever and in any order, and zeros elsewhere', async () => {
    const { target, again, read, virtualBytes, footerBytes } = create();
    await target.prepare(sizeBytes);
    const expected = Buffer.alloc(virtualBytes);
    const writes = [
      { at: sizeBytes - 512, data: noise(1, 512) },
      { at: 512, data: noise(2, 200 * KiB) },
      { at: MiB, data: Buffer.concat([noise(3, 70 * KiB), Buffer.alloc(300 * KiB), noise(4, 512)]) },
      { at: 4 * MiB, data: Buffer.alloc(128 * KiB) },
    ];
    for (const { at, data } of writes) data.copy(expected, at);
    await Promise.all(writes.map(({ at, data }, turn) => (turn % 2 === 0 ? target : again).write(at, data)));
    await Promise.all([target.close(), again.close()]);
    await again.write(512, noise(2, 200 * KiB));
    await again.finish(disk);
    const bytes = await read();
    expect(bytes).toHaveLength(virtualBytes + footerBytes);
    expect(bytes.subarray(0, virtualBytes).equals(expected)).toBe(true);
    const footer = encodeVhdFooter({ ...disk, sizeBytes: virtualBytes });
    expect(bytes.subarray(virtualBytes).equals(footer.subarray(0, footerBytes))).toBe(true);
  });

  it('can be finished twice, and prepared again before that', async () => {
    const { target, again, read, virtualBytes } = create();
    await target.prepare(sizeBytes);
    await target.write(0, noise(1, 4096));
    await target.close();
    await again.prepare(sizeBytes);
    await again.write(4096, noise(2, 512));
    await again.finish(disk);
    await again.finish(disk);
    const expected = Buffer.alloc(virtualBytes);
    noise(2, 512).copy(expected, 4096);
    expect((await read()).subarray(0, virtualBytes).equals(expected)).toBe(true);
  });
});

describe('a file to restore into', () => {
  it('has its name only when it is finished, and takes no room for zeros', async () => {
    const path = join(folder, 'late.vhd');
    const target = new FileTarget(path, 'vhd');
    await target.prepare(256 * MiB);
    await target.write(MiB, Buffer.concat([noise(1, 4096), Buffer.alloc(2 * MiB)]));
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
    await target.finish({ ...disk, sizeBytes: 256 * MiB });
    const { size, blocks } = await stat(path);
    expect(size).toBe(256 * MiB + 512);
    expect(blocks * 512).toBeLessThan(MiB);
  });

  it('is never written over', async () => {
    const path = join(folder, 'taken.vhd');
    const target = new FileTarget(path, 'vhd');
    await target.prepare(MiB);
    await target.finish({ ...disk, sizeBytes: MiB });
    await expect(target.prepare(MiB)).rejects.toThrow('exists already');
  });
});

const qemu = await promisify(execFile)('qemu-img', ['--version']).then(
  () => true,
  () => false,
);

describe('a fixed VHD as others see it', () => {
  it.skipIf(!qemu)('has the size and the content of the disk for qemu-img', async () => {
    const sizes = [
      512,
      4 * KiB,
      MiB,
      256 * MiB,
      256 * MiB + 512,
      20 * 1024 * MiB,
      140 * 1024 * MiB,
      2040 * 1024 * MiB,
    ];
    for (const sizeBytes of sizes) {
      const path = join(folder, `qemu-${sizeBytes}.vhd`);
      const target = new FileTarget(path, 'vhd');
      await target.prepare(sizeBytes);
      await target.write(0, noise(5, 512));
      await target.finish({ ...disk, sizeBytes });
      const run = promisify(execFile);
      const { stdout } = await run('qemu-img', ['info', '--output=json', '-f', 'vpc', path]);
      expect(JSON.parse(stdout)).toMatchObject({ format: 'vpc', 'virtual-size': sizeBytes });
    }
    const raw = new FileTarget(join(folder, 'same.raw'), 'raw');
    await raw.prepare(256 * MiB);
    await raw.write(0, noise(5, 512));
    await raw.finish(disk);
    const vhd = join(folder, `qemu-${256 * MiB}.vhd`);
    const compared = await promisify(execFile)('qemu-img', [
      'compare',
      '-f',
      'raw',
      '-F',
      'vpc',
      join(folder, 'same.raw'),
      vhd,
    ]);
    expect(compared.stdout).toContain('Images are identical');
  });
});
