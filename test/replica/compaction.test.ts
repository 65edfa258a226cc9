import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateDataKey } from '../../shared/replica/keys.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import { KeptLog } from './kept-log.ts';
import { Recorder, restored } from './recorder.ts';
import type { Write } from './recorder.ts';

const diskSectors = [700, 64];

const write = fc
  .record({
    disk: fc.constantFrom(0, 0, 0, 1),
    sector: fc.nat(699),
    sectors: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 400 })),
    content: fc.constantFrom('zeros' as const, 'text' as const, 'noise' as const),
    seed: fc.nat(1000),
  })
  .map((drawn): { do: 'write'; write: Write } => {
    const sector = drawn.sector % diskSectors[drawn.disk]!;
    const sectors = Math.min(drawn.sectors, diskSectors[drawn.disk]! - sector);
    return { do: 'write', write: { ...drawn, sector, sectors } };
  });

const diesAfter = fc.option(fc.nat(6), { nil: undefined, freq: 2 });
const step = fc.oneof(
  { weight: 16, arbitrary: write },
  { weight: 2, arbitrary: fc.constant({ do: 'cut' as const }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('point' as const), isOffered: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('giveUp' as const), seed: fc.nat(99) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('thin' as const), pattern: fc.nat(255) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('compact' as const),
      diesAfter,
      budgetBytes: fc.constantFrom(1, 1_000, 1_000_000),
      isAnchored: fc.integer({ min: 0, max: 3 }).map((drawn) => drawn > 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('collect' as const), diesAfter }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(log: KeptLog, step: Step): Promise<void> {
  if (step.do === 'write') await log.recorder.write(step.write);
  else if (step.do === 'cut') await log.recorder.cut();
  else if (step.do === 'point') await log.point(step.isOffered);
  else if (step.do === 'giveUp') await log.recorder.giveUp(step.seed);
  else if (step.do === 'thin') log.thin((at) => (step.pattern & (1 << (at % 8))) !== 0);
  else if (step.do === 'compact') await log.compact(given(step));
  else await log.collect(given(step));
}

function given<T extends { diesAfter: number | undefined }>({ diesAfter, ...rest }: T) {
  return { ...rest, ...(diesAfter !== undefined && { diesAfter }) };
}

/** Every kept point gives every disk as it was, and the whole log is proven down to its first blob. */
async function expectWhole({ recorder, kept, compaction }: KeptLog): Promise<void> {
  for (const { head, disks } of kept.values()) {
    for (const [disk, bytes] of disks.entries()) {
      const point = { ...head, compaction: compaction ?? null };
      expect((await restored(recorder.log, point, disk)).equals(bytes)).toBe(true);
    }
  }
  const anchor = { ...recorder.head, compaction };
  const { defects, lastGoodPoint } = await verifyChain(recorder.log, { anchor, deep: true });
  expect(defects).toEqual([]);
  expect(lastGoodPoint).toBeGreaterThanOrEqual([...kept.keys()].at(-1) ?? 0);
}

function newLog(): KeptLog {
  return new KeptLog(new Recorder('item', generateDataKey(), diskSectors));
}

/** Points of an hour, each with one write; `hidden`: every write hides the one before. */
async function hour(log: KeptLog, { hidden }: { hidden: boolean }): Promise<void> {
  for (let at = 0; at < 12; at += 1) {
    const sector = hidden ? 0 : at * 8;
    await log.recorder.write({ disk: 0, sector, sectors: 8, content: 'noise', seed: at });
    await log.point();
  }
}

describe('a compacted log', () => {
  it('gives every kept point exactly, after any writes, thinnings, compactions and collections, and deaths in them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const log = newLog();
        for (const one of steps) {
          await take(log, one);
          if (one.do === 'compact' || one.do === 'collect') await expectWhole(log);
        }
        await log.point();
        await log.compactAll();
        await expectWhole(log);
        await log.collect();
        expect((await log.collect())?.deadBytes).toBe(0);
        await expectWhole(log);
      }),
      { numRuns: 150 },
    );
  });

  it('keeps of twelve writes to one place only the one that is kept', async () => {
    const log = newLog();
    await log.recorder.write({ disk: 0, sector: 0, sectors: 700, content: 'noise', seed: 99 });
    await log.point();
    await hour(log, { hidden: true });
    log.thin((at) => at > 0);
    await log.compactAll();
    const { storedBytes: before = 0 } = (await log.collect()) ?? {};
    const { storedBytes = 0, liveBytes = 0, deadBytes } = (await log.collect()) ?? {};
    await expectWhole(log);
    expect(deadBytes).toBe(0);
    expect(before - storedBytes).toBeGreaterThan(11 * 8 * 512);
    expect(liveBytes).toBeLessThan((700 + 8) * 512 + 8_000);
  });

  it('says of a point that was dropped that it is not kept, and which one can be had', async () => {
    const log = newLog();
    await hour(log, { hidden: false });
    log.thin((at) => at % 4 !== 3);
    await log.compactAll();
    await expect(restored(log.recorder.log, { sequence: 6 }, 0)).rejects.toMatchObject({
      defect: { blob: 'points/000000000006.json', kind: 'Missing' },
      nearestGoodPoint: 4,
    });
  });

  it('deletes nothing in the collection that finds it dead, and nothing while somebody reads', async () => {
    const log = newLog();
    await hour(log, { hidden: true });
    log.thin(() => true);
    await log.compactAll();
    const names = [...log.recorder.store.blobs.keys()];
    expect(await log.collect()).toMatchObject({ removedBlobs: 0 });
    expect(await log.collect({ mayRemove: false })).toMatchObject({ removedBlobs: 0 });
    expect([...log.recorder.store.blobs.keys()]).toEqual(expect.arrayContaining(names));
    expect(((await log.collect()) ?? { removedBlobs: 0 }).removedBlobs).toBeGreaterThan(11);
    await expectWhole(log);
  });

  it('collects the segments of a cycle that was given up, and none that a point may still name', async () => {
    const log = newLog();
    await log.recorder.write({ disk: 0, sector: 0, sectors: 8, content: 'noise', seed: 1 });
    const givenUp = await log.recorder.giveUp(1);
    await log.recorder.cut();
    await log.point();
    const pending = await log.recorder.giveUp(2);
    await log.collect();
    expect(log.recorder.store.blobs.has(givenUp)).toBe(true);
    await log.recorder.write({ disk: 0, sector: 20, sectors: 8, content: 'noise', seed: 1 });
    await log.point();
    await log.collect();
    await log.collect();
    expect(log.recorder.store.blobs.has(givenUp)).toBe(false);
    expect(log.recorder.store.blobs.has(pending)).toBe(false);
    await expectWhole(log);
  });

  it('is not compacted, nor collected, where a blob of it is damaged', async () => {
    const log = newLog();
    await hour(log, { hidden: true });
    const name = 'log/000000000003.seg';
    const bytes = Buffer.from(log.recorder.store.blobs.get(name)!);
    bytes[bytes.length - 100] = bytes[bytes.length - 100]! ^ 1;
    log.recorder.store.blobs.set(name, bytes);
    log.thin(() => true);
    await expect(log.compact()).rejects.toMatchObject({ defect: { blob: name } });
    log.recorder.store.blobs.delete('points/000000000005.json');
    await expect(log.collect()).rejects.toMatchObject({ defect: { blob: 'points/000000000005.json' } });
  });
});
