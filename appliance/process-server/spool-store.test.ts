import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MiB } from '../../shared/bytes.ts';
import type { Place } from './spool-losses.ts';
import type { OpenCycle } from './spool-rows.ts';
import { SpoolStore } from './spool-store.ts';

const item = randomUUID();
const commit = { capturedAtMs: 1, consistency: 'CrashConsistent', changedBytes: 0, pointRequest: 0 } as const;
const disks = [{ number: 0, diskId: 'a', sizeBytes: 4 * MiB }];
let folder: string;
let store: SpoolStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spool-'));
  store = open();
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(): SpoolStore {
  const opened = new SpoolStore(join(folder, 'spool.db'));
  const schedule = { crashConsistentMinutes: 5, appConsistentMinutes: 0 };
  const stored = { protectedItemId: item, biosUuid: randomUUID(), machineName: 'web01', disks, schedule };
  opened.putItem({ ...stored, sealedDataKey: new Uint8Array(3) });
  return opened;
}

function openCycle(cycleId: string = randomUUID()): OpenCycle {
  const cycle = { cycleId, basePoint: 0, startedAtMs: 1, disks, resync: 0, repairs: 0 };
  store.beginCycle(item, cycle);
  return cycle;
}

function seal(sequence: number): void {
  const name = `log/${sequence}`;
  const counts = { frames: 1, zeroFrames: 0, dataSectors: 1, zeroSectors: 0 };
  store.sealSegment(item, { sequence, name, sizeBytes: 100, sha256: '', md5: '', mac: '', counts });
}

test('a cycle too long for one manifest is saved by a point of no one moment, and goes on', async () => {
  const cycleId = randomUUID();
  const cycle = openCycle(cycleId);
  for (let count = 0; count < 3; count += 1) seal(store.reserveSegment(item, cycleId));
  expect(store.splitCycle(item, cycle)).toBe(1);
  seal(store.reserveSegment(item, cycleId));
  expect(store.commitCycle(item, cycle, commit)).toBe(2);
  await store.durable();
  const [first, second] = [store.findPoint(item, 1), store.findPoint(item, 2)];
  expect(first).toMatchObject({ consistency: 'NotConsistent', pointRequest: 0 });
  expect(second).toMatchObject({ consistency: 'CrashConsistent', cycleId });
  const named = [first, second].map((point) =>
    store.segmentsOf(item, point?.cycleId ?? '').map(({ segment }) => segment.sequence),
  );
  expect(named).toEqual([[1, 2, 3], [4]]);
});

test('a sequence is never given twice, whatever became of its segment', () => {
  const cycleId = randomUUID();
  expect(store.reserveSegment(item, cycleId)).toBe(1);
  store.dropSegment(item, 1);
  store.close();
  store = open();
  expect(store.reserveSegment(item, cycleId)).toBe(2);
});

test('what waits for its upload is counted until it is uploaded', () => {
  const cycleId = randomUUID();
  seal(store.reserveSegment(item, cycleId));
  seal(store.reserveSegment(item, cycleId));
  expect(store.pendingUploadBytes()).toBe(200);
  store.markUploaded(item, 1);
  expect(store.pendingUploadBytes()).toBe(100);
  expect(store.pendingSegments(item, 5).map(({ segment }) => segment.sequence)).toEqual([2]);
});

test('calls for durability at the same time all end', async () => {
  const ends = Array.from({ length: 20 }, () => {
    store.requestPoint(item);
    return store.durable();
  });
  expect(await Promise.all(ends)).toHaveLength(20);
  expect(await store.durable()).toBeUndefined();
});

function place(offsetBytes: number, lengthBytes = MiB): Place {
  return { disk: 0, offsetBytes, lengthBytes };
}

/** A committed point with one segment that has one extent. */
function point(offsetBytes: number): number {
  const cycle = openCycle();
  const sequence = store.reserveSegment(item, cycle.cycleId);
  expect(store.losses.note({ protectedItemId: item, sequence }, [place(offsetBytes)], 100)).toBe(true);
  seal(sequence);
  return store.commitCycle(item, cycle, { ...commit, pointRequest: 1 });
}

describe('a damaged segment', () => {
  test('takes what it had out of every point that is not in the replica log yet', () => {
    for (const offsetBytes of [0, MiB, 2 * MiB]) point(offsetBytes);
    store.markPointUploaded(item, 1, { hash: 'h', bytes: 1 });
    expect(store.losses.lose({ protectedItemId: item, sequence: 2 }, { told: true, atMs: 7 })).toBe(MiB);
    const consistencies = [1, 2, 3].map((sequence) => store.findPoint(item, sequence));
    expect(consistencies).toMatchObject([
      { consistency: 'CrashConsistent', pointRequest: 1 },
      { consistency: 'NotConsistent', pointRequest: 0 },
      { consistency: 'NotConsistent', pointRequest: 0 },
    ]);
    expect(store.segmentsOf(item, store.findPoint(item, 2)?.cycleId ?? '')).toEqual([]);
    expect(store.findItem(item)).toMatchObject({
      damage: { sinceMs: 7, lostBytes: MiB },
      pointRequest: 1,
    });
  });

  test('is history when a later point that has it again is in the replica log', () => {
    point(0);
    store.losses.lose({ protectedItemId: item, sequence: 1 }, { told: true, atMs: 7 });
    const cycle = openCycle();
    const { lossId, ranges } = store.losses.listOf(item, disks);
    expect(ranges).toEqual([{ diskIndex: 0, offsetBytes: 0, lengthBytes: MiB }]);
    store.losses.told(item, lossId);
    const repaired = store.commitCycle(item, { ...cycle, repairs: lossId }, commit);
    expect(store.losses.newest(item)).toBe(0);
    store.markPointUploaded(item, repaired - 1, { hash: 'h', bytes: 1 });
    expect(store.findItem(item)?.damage).toBeDefined();
    store.markPointUploaded(item, repaired, { hash: 'h', bytes: 1 });
    expect(store.findItem(item)?.damage).toBeUndefined();
  });

  test('is lost once only, and not at all when it is uploaded', () => {
    point(0);
    const lose = () => store.losses.lose({ protectedItemId: item, sequence: 1 }, { told: true, atMs: 7 });
    expect([lose(), lose()]).toEqual([MiB, 0]);
    point(0);
    store.markUploaded(item, 2);
    expect(store.losses.lose({ protectedItemId: item, sequence: 2 }, { told: true, atMs: 7 })).toBe(0);
    expect(store.losses.note({ protectedItemId: item, sequence: 1 }, [place(0)], 100)).toBe(false);
  });

  test('with more holes than an answer takes has its neighbours joined, and all of it is there', () => {
    const cycle = openCycle();
    const sequence = store.reserveSegment(item, cycle.cycleId);
    const places = Array.from({ length: 12_000 }, (_, at) => place((12_000 - at) * 3 * MiB, 4_096));
    store.losses.note({ protectedItemId: item, sequence }, places, 100);
    store.losses.lose({ protectedItemId: item, sequence }, { told: false, atMs: 7 });
    const { ranges } = store.losses.listOf(item, disks);
    expect(ranges.length).toBeLessThanOrEqual(10_000);
    const isCovered = places.every(({ offsetBytes, lengthBytes }) =>
      ranges.some(
        (range) =>
          range.offsetBytes <= offsetBytes &&
          offsetBytes + lengthBytes <= range.offsetBytes + range.lengthBytes,
      ),
    );
    expect(isCovered).toBe(true);
    expect(store.findItem(item)?.damage).toBeUndefined();
  });
});
