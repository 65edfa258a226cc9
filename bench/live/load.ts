import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { MiB } from '../../shared/bytes.ts';
import { Workshop } from '../../test/live-disks/loop-disk.ts';
import { percentile } from '../figures.ts';
import { Site, startStorageProcess } from '../site.ts';

import { note, peakOf, type Samples } from './figures.ts';
import { Fio } from './fio.ts';
import { makeLiveDisk, type LiveDisk } from './live-disk.ts';

const diskBytes = 1024 * MiB;
const fileBytes = 256 * MiB;
const churnBytesPerSecond = 50e6;

/** Of the line that the agent says of a point. */
const PointLine = z.object({
  pointSequence: z.number(),
  live: z.object({ frozenMs: z.number(), restBytes: z.number(), compared: z.string().optional() }),
});

/** The rate of random 4 KiB writes while an agent follows the disk, beside the rate when none does. */
export async function measureOverhead(options: { seconds: number; runs: number }): Promise<Samples> {
  const samples: Samples = { figures: {}, details: {} };
  const workshop = new Workshop();
  const storage = await startStorageProcess(workshop.folder);
  try {
    const disk = makeLiveDisk(workshop, 'disk', 'ext4', diskBytes);
    await writesPerSecond(disk, options.seconds); // lays the file out
    for (let at = 0; at < options.runs; at += 1) {
      const before = await writesPerSecond(disk, options.seconds);
      const folder = join(workshop.folder, `run-${at}`);
      mkdirSync(folder);
      const site = await Site.start(folder, storage.connectionString, [disk]);
      await site.begin();
      const tracked = await writesPerSecond(disk, options.seconds);
      const { sequence } = await site.point();
      const { live } = await pointLine(site, sequence);
      if (live.compared !== undefined) throw new Error(`The load was not followed: ${live.compared}.`);
      await site.close();
      const bare = (before + (await writesPerSecond(disk, options.seconds))) / 2;
      note(samples.figures, 'tracking_overhead', 1 - tracked / bare);
      note(samples.details, 'fio_bare_per_s', bare);
      note(samples.details, 'fio_tracked_per_s', tracked);
    }
  } finally {
    await storage.close();
    workshop.close();
  }
  return samples;
}

/** How long an ext4 and an xfs are frozen together, point after point, while 50 MB are written to them each second. */
export async function measureFreeze(options: { points: number }): Promise<Samples> {
  const samples: Samples = { figures: {}, details: {} };
  const workshop = new Workshop();
  const storage = await startStorageProcess(workshop.folder);
  try {
    const disks = (['ext4', 'xfs'] as const).map((type) => makeLiveDisk(workshop, type, type, diskBytes));
    const site = await Site.start(workshop.folder, storage.connectionString, disks);
    const folders = disks.map(({ folder }) => folder);
    const rate = Math.round(churnBytesPerSecond / folders.length);
    const fio = new Fio(folders, { size: fileBytes, bs: '16k', rate, runtime: 3_600 });
    await site.begin();
    for (let at = 0; at < options.points; at += 1) {
      const { sequence } = await site.point();
      const { live } = await pointLine(site, sequence);
      note(samples.details, 'frozen_ms', live.frozenMs);
      note(samples.details, 'freeze_rest_mb', live.restBytes / 1e6);
    }
    fio.stop();
    note(samples.details, 'churn_mb_per_s', (await fio.rates()).bytes / 1e6);
    note(samples.figures, 'freeze_p99_ms', percentile(samples.details['frozen_ms'] ?? [], 0.99));
    note(samples.figures, 'peak_rss_mb', peakOf(site));
    await site.close();
  } finally {
    await storage.close();
    workshop.close();
  }
  return samples;
}

async function pointLine({ agent }: Site, sequence: number): Promise<z.infer<typeof PointLine>> {
  return PointLine.parse(
    await agent.line(({ kind, pointSequence }) => kind === 'point' && pointSequence === sequence),
  );
}

async function writesPerSecond({ folder }: LiveDisk, seconds: number): Promise<number> {
  const direct = { direct: 1, ioengine: 'libaio', iodepth: 8 };
  return (await new Fio([folder], { size: fileBytes, runtime: seconds, ...direct }).rates()).writes;
}
