import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { GiB } from '../../shared/bytes.ts';
import { Workshop } from '../../test/live-disks/loop-disk.ts';
import { Site, startStorageProcess } from '../site.ts';

import { note, peakOf, type Samples } from './figures.ts';
import { makeLiveDisk } from './live-disk.ts';

/** Points of one sample: processor time is counted in hundredths of a second. */
const pointsPerSample = 8;

interface Cost {
  seconds: number;
  processorSeconds: number;
}

/** What a point costs when nothing was written since the last one: of a large sparse disk, beside a small one. */
export async function measureUnchanged(options: { largeGiB: number; runs: number }): Promise<Samples> {
  const samples: Samples = { figures: {}, details: {} };
  const workshop = new Workshop();
  const storage = await startStorageProcess(workshop.folder);
  const sites: Site[] = [];
  try {
    for (const [name, sizeGiB] of [['small', 1] as const, ['large', options.largeGiB] as const]) {
      const disk = makeLiveDisk(workshop, name, 'xfs', sizeGiB * GiB);
      const folder = join(workshop.folder, `site-${name}`);
      mkdirSync(folder);
      const site = await Site.start(folder, storage.connectionString, [disk]);
      sites.push(site);
      await site.begin();
      await site.point(); // reads again what the first one copied
    }
    const [small, large] = sites;
    if (!small || !large) throw new Error('Both sites were started above.');
    for (let at = 0; at < options.runs; at += 1) {
      const [one, other] = [await costOf(small), await costOf(large)];
      const [seconds, processor] = [
        other.seconds / one.seconds,
        other.processorSeconds / one.processorSeconds,
      ];
      note(samples.figures, 'unchanged_64_vs_1', Math.max(seconds, processor));
      note(samples.details, 'unchanged_time_ratio', seconds);
      note(samples.details, 'unchanged_cpu_ratio', processor);
      note(samples.details, 'unchanged_1_s', one.seconds);
      note(samples.details, 'unchanged_1_cpu_s', one.processorSeconds);
      note(samples.details, 'unchanged_64_s', other.seconds);
      note(samples.details, 'unchanged_64_cpu_s', other.processorSeconds);
    }
    note(samples.figures, 'peak_rss_mb', Math.max(...sites.map(peakOf)));
  } finally {
    for (const site of sites) await site.close();
    await storage.close();
    workshop.close();
  }
  return samples;
}

async function costOf(site: Site): Promise<Cost> {
  const before = site.processorSeconds();
  const startedAtMs = performance.now();
  for (let point = 0; point < pointsPerSample; point += 1) await site.point();
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const processorSeconds = site.processorSeconds() - before;
  return { seconds: seconds / pointsPerSample, processorSeconds: processorSeconds / pointsPerSample };
}
