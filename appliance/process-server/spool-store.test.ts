import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SpoolStore } from './spool-store.ts';

const item = randomUUID();
const commit = { capturedAtMs: 1, consistency: 'CrashConsistent', changedBytes: 0, pointRequest: 0 } as const;
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
  const disks = [{ diskId: 'a', sizeBytes: 512 }];
  const stored = { protectedItemId: item, biosUuid: randomUUID(), machineName: 'web01', disks, schedule };
  opened.putItem({ ...stored, sealedDataKey: new Uint8Array(3) });
  return opened;
}

function seal(sequence: number): void {
  const name = `log/${sequence}`;
  const counts = { frames: 1, zeroFrames: 0, dataSectors: 1, zeroSectors: 0 };
  store.sealSegment(item, { sequence, name, sizeBytes: 100, sha256: '', md5: '', mac: '', counts });
}

test('a cycle too long for one manifest is saved by a point of no one moment, and goes on', async () => {
  const cycleId = randomUUID();
  store.beginCycle(item, { cycleId, basePoint: 0, startedAtMs: 1 });
  for (let count = 0; count < 3; count += 1) seal(store.reserveSegment(item, cycleId));
  expect(store.splitCycle(item, cycleId)).toBe(1);
  seal(store.reserveSegment(item, cycleId));
  expect(store.commitCycle(item, cycleId, commit)).toBe(2);
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
