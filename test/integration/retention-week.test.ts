import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { RetentionSite } from './retention-site.ts';

/** 16 MiB in blocks of 4 KiB. */
const blocks = 4096;
const pointsAnHour = 12;
/** Two days; a week in the long form, `npm run test:faults`. */
const days = Number(process.env['SECONDSITE_RETENTION_DAYS'] ?? 2);
const hours = days * 24;
/** All of two hours, hourly ones of a day, two-hourly ones of the others. */
const expectedPoints = 24 + 22 + 12 * (days - 1);

/** Steady churn: half of the writes hit a few blocks again and again, half go anywhere. */
function* churn(hour: number, point: number): Generator<number> {
  for (let write = 0; write < 8; write += 1) {
    yield (write * 7 + point) % 64;
    yield ((hour * 131 + point * 17 + write * 541) * 2_654_435_761) % blocks;
  }
}

describe('days of points every five minutes', () => {
  let folder: string;
  let storage: Storage;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-week-'));
    storage = await startStorage({ dataFolder: folder, inMemory: true });
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('takes at most 1.6 times the bytes of its points’ contents, all the time, and every point is there', async () => {
    const site = new RetentionSite(storage, blocks);
    const log = await site.log();
    await site.point(
      log,
      Array.from({ length: blocks }, (_, block) => block),
    );
    const ratios: number[] = [];
    for (let hour = 0; hour < hours; hour += 1) {
      for (let point = 0; point < pointsAnHour; point += 1) await site.point(log, churn(hour, point));
      if (hour % 20 === 0) await site.writeSegment(log, []); // a cycle that is given up
      await site.retain();
      if (hour % 6 !== 5 && hour !== hours - 1) continue;
      ratios.push((await site.storedBytes()) / (await site.liveBytes()));
      const kept = new Set(await site.sequences());
      for (const sequence of site.snapshots.keys()) if (!kept.has(sequence)) site.snapshots.delete(sequence);
    }
    expect(Math.max(...ratios)).toBeLessThanOrEqual(1.6);
    const sequences = await site.sequences();
    expect(sequences.length).toBeGreaterThanOrEqual(expectedPoints);
    expect(sequences.length).toBeLessThanOrEqual(expectedPoints + 4);
    const wrong: number[] = [];
    for (const sequence of sequences) if (!(await site.restores(log, sequence))) wrong.push(sequence);
    expect(wrong).toEqual([]);
    expect(await site.verify(log)).toMatchObject({ defects: [], lastGoodPoint: site.head.sequence });
    process.stdout.write(
      `stored / live: ${ratios.at(-1)?.toFixed(3)} at the end, ${Math.max(...ratios).toFixed(3)} at most; ` +
        `${((await site.storedBytes()) / 2 ** 20).toFixed(1)} MiB for ${sequences.length} points\n`,
    );
  }, 900_000);
});
