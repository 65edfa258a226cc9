import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type ProvenPoint } from '../replica/chain.ts';
import { newsOf } from './history.ts';
import { type Anchor } from './recovery-point.ts';

const minute = 60_000;
const hour = 60 * minute;
const start = Date.UTC(2026, 0, 1, 12);
const protectedItemId = randomUUID();

function point(timeMs: number, changed: Record<number, number>, isOffered = true): ProvenPoint {
  const bytes = Object.values(changed).reduce((sum, one) => sum + one, 0);
  return {
    hash: 'a'.repeat(64),
    changedBytes: bytes,
    changedByDisk: new Map(Object.entries(changed).map(([disk, one]) => [Number(disk), one])),
    manifest: {
      format: 'secondsite-point/1',
      itemId: protectedItemId,
      sequence: 1,
      previous: 'b'.repeat(64),
      consistency: isOffered ? 'CrashConsistent' : 'NotConsistent',
      time: new Date(timeMs).toISOString(),
      disks: [0, 1].map((number) => ({
        number,
        id: `disk-${number}`,
        sizeBytes: 512,
        sectorBytes: 512 as const,
      })),
      segments: [],
    },
  };
}

function anchorAt(timeMs: number): Anchor {
  return {
    sequence: 1,
    hash: 'c',
    newest: { name: randomUUID(), sequence: 1, timeMs },
    firstPointAtMs: timeMs,
  };
}

describe('what points bring', () => {
  it('is counted by disk in the hour of the point, with the peak between two points', () => {
    const before = anchorAt(start);
    const records = [
      point(start + 5 * minute, { 0: 3_000 }),
      point(start + 10 * minute, { 0: 300, 1: 600 }),
      point(start + hour, { 1: 50 * 60 }),
    ];
    const news = newsOf(before, records, { protectedItemId, nowMs: start + hour });
    expect(news).toMatchObject([
      {
        hourMs: start,
        points: 2,
        disks: [
          { diskId: 'disk-0', changedBytes: 3_300, peakBytesPerSecond: 10 },
          { diskId: 'disk-1', changedBytes: 600, peakBytesPerSecond: 2 },
        ],
      },
      {
        hourMs: start + hour,
        points: 1,
        disks: [
          { diskId: 'disk-0', changedBytes: 0, peakBytesPerSecond: 0 },
          { diskId: 'disk-1', changedBytes: 3_000, peakBytesPerSecond: 1 },
        ],
      },
    ]);
  });

  it('leaves the initial replication out of the churn', () => {
    const records = [
      point(start, { 0: 1e9 }, false),
      point(start + 5 * minute, { 0: 1e9 }),
      point(start + 10 * minute, { 0: 7 }),
    ];
    const [first] = newsOf(undefined, records, { protectedItemId, nowMs: start + 10 * minute });
    expect(first).toMatchObject({ points: 2, disks: [{ changedBytes: 7 }, { changedBytes: 0 }] });
  });

  it('tells how old the newest point had become before the next, in the hour in which that came', () => {
    const late = start + 3 * hour;
    const news = newsOf(anchorAt(start), [point(late - 10_000, { 0: 1 })], { protectedItemId, nowMs: late });
    expect(news).toMatchObject([
      { hourMs: start + 2 * hour, points: 1 },
      { hourMs: late, points: 0, rpo: { maxSeconds: 3 * 3_600, minSeconds: 10 } },
    ]);
  });

  it('says nothing of RPO where no point came that is offered', () => {
    const news = newsOf(anchorAt(start), [point(start + minute, { 0: 5 }, false)], {
      protectedItemId,
      nowMs: start + minute,
    });
    expect(news).toMatchObject([{ points: 0, disks: [{ changedBytes: 5 }, { changedBytes: 0 }] }]);
    expect(news[0]?.rpo).toBeUndefined();
  });
});
