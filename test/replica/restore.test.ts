import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FolderReplicaStore } from '../../shared/replica/folder-replica-store.ts';
import { FramePool } from '../../shared/replica/frame-pool.ts';
import { generateDataKey } from '../../shared/replica/keys.ts';
import { finishRestore, planRestore, restoreDisk, restoreRange } from '../../shared/replica/restore.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import { MemoryTarget } from './memory.ts';
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
  .map((drawn): Write => {
    const sector = drawn.sector % diskSectors[drawn.disk]!;
    return { ...drawn, sector, sectors: Math.min(drawn.sectors, diskSectors[drawn.disk]! - sector) };
  });

const history = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: write },
    { weight: 1, arbitrary: fc.constant('cut' as const) },
    { weight: 2, arbitrary: fc.constant('point' as const) },
  ),
  { maxLength: 40 },
);

async function record(steps: readonly (Write | 'cut' | 'point')[]): Promise<Recorder> {
  const recorder = new Recorder('item', generateDataKey(), diskSectors);
  for (const step of steps) {
    if (step === 'point') await recorder.point();
    else if (step === 'cut') await recorder.cut();
    else await recorder.write(step);
  }
  await recorder.point();
  return recorder;
}

describe('a restore', () => {
  it('gives every disk at every point exactly as it was, whatever was written in between', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const { log, snapshots, head } = await record(steps);
        for (const { head, disks } of snapshots) {
          for (const [disk, bytes] of disks.entries()) {
            expect((await restored(log, head, disk)).equals(bytes)).toBe(true);
          }
        }
        const verification = await verifyChain(log, { anchor: head, deep: true });
        expect(verification).toMatchObject({
          defects: [],
          lastGoodPoint: head.sequence,
          points: head.sequence,
        });
      }),
      { numRuns: 150 },
    );
  });

  it('gives the same disk when it is restored in parts, in any order and some of them twice', async () => {
    const cuts = fc.array(fc.nat(700), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(history, cuts, async (steps, cuts) => {
        const { log, snapshots, head } = await record(steps);
        const target = new MemoryTarget();
        const request = { log, point: head, disk: 0, target };
        const plan = await planRestore(request);
        await target.prepare(plan.disk.sizeBytes);
        const edges = [0, ...cuts.toSorted((a, b) => a - b), 700];
        const ranges = edges.slice(1).map((end, at) => ({
          offsetBytes: edges[at]! * 512,
          lengthBytes: (end - edges[at]!) * 512,
        }));
        for (const range of ranges.toReversed()) await restoreRange(request, range, plan);
        await restoreRange(request, ranges[0]!);
        await finishRestore(request, plan);
        expect(target.isFinished && target.bytes.equals(snapshots.at(-1)!.disks[0]!)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('gives the same disk with threads, and tells how far it is', async () => {
    const recorder = new Recorder('item', generateDataKey(), [40_000]);
    for (let at = 0; at < 40; at += 1) {
      await recorder.write({
        disk: 0,
        sector: at * 1000,
        sectors: 700,
        content: at % 3 ? 'noise' : 'text',
        seed: at,
      });
    }
    const { head, disks } = await recorder.point();
    const pool = new FramePool();
    const target = new MemoryTarget();
    const told: number[] = [];
    const onProgress = ({ bytesWritten }: { bytesWritten: number }): number => told.push(bytesWritten);
    const done = await restoreDisk({ log: recorder.log, point: head, disk: 0, target, pool, onProgress });
    await pool.close();
    expect(hash(target.bytes)).toBe(hash(disks[0]!));
    expect(done).toMatchObject({ bytesWritten: 40 * 700 * 512, bytesTotal: 40 * 700 * 512 });
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    expect(told.at(-1)).toBe(done.bytesTotal);
  });

  it('gives the disk with threads where a read is one frame and nothing else', async () => {
    const { log, snapshots, head } = await record([
      { disk: 0, sector: 5, sectors: 300, content: 'noise', seed: 1 },
      'cut',
      { disk: 0, sector: 400, sectors: 200, content: 'text', seed: 2 },
    ]);
    const folder = await mkdtemp(join(tmpdir(), 'secondsite-restore-'));
    const store = new FolderReplicaStore(folder);
    for await (const { name } of log.store.list('')) {
      await store.putIfAbsent(name, (await log.store.find(name, Infinity))!);
    }
    const pool = new FramePool();
    const target = new MemoryTarget();
    await restoreDisk({ log: { ...log, store }, point: head, disk: 0, target, pool });
    await pool.close();
    await rm(folder, { recursive: true });
    expect(hash(target.bytes)).toBe(hash(snapshots.at(-1)!.disks[0]!));
  });

  it('says which disks there are when it is asked for another', async () => {
    const { log, head } = await record([]);
    await expect(restored(log, head, 7)).rejects.toThrow('point 1 has no disk 7; it has: 0, 1');
  });

  it('is refused for a range that is not whole sectors', async () => {
    const { log, head } = await record([]);
    const request = { log, point: head, disk: 0, target: new MemoryTarget() };
    await expect(restoreRange(request, { offsetBytes: 3, lengthBytes: 512 })).rejects.toThrow(
      'whole 512-byte sectors',
    );
  });

  it('stops when it is told to, and leaves the target unfinished', async () => {
    const { log, head } = await record([{ disk: 0, sector: 0, sectors: 9, content: 'noise', seed: 1 }]);
    const target = new MemoryTarget();
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(restoreDisk({ log, point: head, disk: 0, target, signal })).rejects.toThrow('enough');
    expect(target.isFinished).toBe(false);
  });
});

function hash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
