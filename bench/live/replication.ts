import { BlobServiceClient, ContainerSASPermissions } from '@azure/storage-blob';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FileTarget } from '../../shared/replica/file-target.ts';
import { Workshop, run } from '../../test/live-disks/loop-disk.ts';
import { Restic } from '../restic.ts';
import { Site, startStorageProcess } from '../site.ts';

import { note, peakOf, type Samples } from './figures.ts';
import { uploadPlainly } from './floor.ts';
import { makeMixedDisk, writePages, type LiveDisk } from './live-disk.ts';

const restoreMain = fileURLToPath(new URL('./restore-main.ts', import.meta.url));
/** Ranges of a restore by several processes. */
const ranges = 8;

/** Initial replication, a delta of 1 % and a restore, beside restic and beside the floor. */
export async function measureReplication(options: { sizeBytes: number; runs: number }): Promise<Samples> {
  const samples: Samples = { figures: {}, details: {} };
  const workshop = new Workshop();
  try {
    const disk = makeMixedDisk(workshop, options.sizeBytes);
    for (let at = 0; at < options.runs; at += 1) {
      const folder = join(workshop.folder, `run-${at}`);
      mkdirSync(folder);
      await measureOnce({ folder, disk, samples, turn: at });
      rmSync(folder, { recursive: true });
    }
  } finally {
    workshop.close();
  }
  return samples;
}

interface Turn {
  folder: string;
  disk: LiveDisk;
  samples: Samples;
  turn: number;
}

async function measureOnce({ folder, disk, samples, turn }: Turn): Promise<void> {
  const storage = await startStorageProcess(folder);
  const site = await Site.start(folder, storage.connectionString, [disk]);
  const { figures, details } = samples;
  try {
    const service = BlobServiceClient.fromConnectionString(storage.connectionString);
    const restic = await Restic.create(folder, service, 'restic');
    const container = await floorContainer(service);
    const seconds = { ours: 0, restic: 0, floor: 0 };
    await inTurn(turn, [
      async () => void (seconds.ours = (await site.begin()).seconds),
      async () => void (seconds.restic = (await restic.backUp(disk.loop.image, true)).seconds),
      async () =>
        void (seconds.floor = await uploadPlainly({
          path: disk.loop.image,
          container,
          sizeBytes: disk.sizeBytes,
        })),
    ]);
    note(figures, 'initial_vs_restic', seconds.restic / seconds.ours);
    note(figures, 'initial_vs_floor', seconds.ours / seconds.floor);
    note(details, 'initial_s', seconds.ours);
    note(details, 'initial_restic_s', seconds.restic);
    note(details, 'initial_floor_s', seconds.floor);

    const writtenBytes = writePages(disk);
    run('sync', ['--file-system', disk.loop.image]);
    const delta = { seconds: 0, bytes: 0, sequence: 0 };
    let resticDelta = 0;
    await inTurn(turn, [
      async () => void Object.assign(delta, await site.point()),
      async () => void (resticDelta = (await restic.backUp(disk.loop.image, false)).seconds),
    ]);
    note(figures, 'delta_vs_restic', resticDelta / delta.seconds);
    note(figures, 'delta_bytes_ratio', delta.bytes / writtenBytes);
    note(details, 'delta_s', delta.seconds);
    note(details, 'delta_restic_s', resticDelta);
    note(details, 'delta_written_mb', writtenBytes / 1e6);

    const order = {
      connectionString: storage.connectionString,
      itemId: site.item.protectedItemId,
      dataKeyHex: site.item.dataKey.toString('hex'),
      sequence: delta.sequence,
    };
    const restored = { ours: 0, restic: 0, one: 0, two: 0 };
    await inTurn(turn, [
      async () => void (restored.ours = await restore({ ...order, path: join(folder, 'restored') })),
      async () => void (restored.restic = await restic.restore(join(folder, 'restic-restored'))),
      async () => void (restored.one = await restoreRanges(order, disk.sizeBytes, join(folder, 'one'), 1)),
      async () => void (restored.two = await restoreRanges(order, disk.sizeBytes, join(folder, 'two'), 2)),
    ]);
    note(figures, 'restore_vs_restic', restored.restic / restored.ours);
    note(figures, 'restore_ranges_2_vs_1', restored.one / restored.two);
    note(details, 'restore_s', restored.ours);
    note(details, 'restore_restic_s', restored.restic);
    note(figures, 'peak_rss_mb', peakOf(site));
  } finally {
    await site.close();
    await storage.close();
  }
}

/** Another begins in each turn: who comes first finds another state of the machine. */
async function inTurn(turn: number, works: readonly (() => Promise<void>)[]): Promise<void> {
  const first = turn % works.length;
  for (const work of [...works.slice(first), ...works.slice(0, first)]) await work();
}

async function floorContainer(service: BlobServiceClient): Promise<string> {
  const container = service.getContainerClient('floor');
  await container.create();
  const permissions = ContainerSASPermissions.parse('c');
  return container.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + 24 * 3_600_000) });
}

/** In a process of its own, as restic. Gives the seconds it took. */
async function restore(order: object): Promise<number> {
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [restoreMain], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.end(JSON.stringify(order));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`The restore ended with ${code}.`);
  return (performance.now() - startedAtMs) / 1_000;
}

/** The whole disk by so many processes, each a share of its ranges. */
async function restoreRanges(
  order: object,
  sizeBytes: number,
  path: string,
  processes: number,
): Promise<number> {
  await new FileTarget(path, 'raw').prepare(sizeBytes);
  const lengthBytes = sizeBytes / ranges;
  const all = Array.from({ length: ranges }, (_, at) => ({ offsetBytes: at * lengthBytes, lengthBytes }));
  const startedAtMs = performance.now();
  const shares = Array.from({ length: processes }, (_, share) =>
    all.filter((_range, at) => at % processes === share),
  );
  await Promise.all(shares.map((share) => restore({ ...order, path, ranges: share })));
  return (performance.now() - startedAtMs) / 1_000;
}
