import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AgedPoint, RetentionTiers, defaultTiers, pointsToDrop } from './thinning.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const tiers = RetentionTiers.parse(defaultTiers);
const start = Date.UTC(2026, 0, 1);

function pointAt(timeMs: number, consistency: AgedPoint['consistency'] = 'CrashConsistent'): AgedPoint {
  return { timeMs, consistency };
}

/** Points every five minutes, thinned every hour as they come. */
function survivorsOf(days: number, historyMs: number): { points: AgedPoint[]; nowMs: number } {
  let points: AgedPoint[] = [];
  const nowMs = start + days * day;
  for (let timeMs = start; timeMs <= nowMs; timeMs += 5 * minute) {
    points.push(pointAt(timeMs));
    if (timeMs % hour !== 0) continue;
    const going = new Set(pointsToDrop(points, { tiers, historyMs }, timeMs));
    points = points.filter((point) => !going.has(point));
  }
  return { points, nowMs };
}

describe('thinning', () => {
  it('keeps all of two hours, hourly ones of a day, two-hourly of seven days, four-hourly up to fifteen', () => {
    const { points, nowMs } = survivorsOf(20, 15 * day);
    const between = (from: number, to: number) =>
      points.filter(({ timeMs }) => nowMs - timeMs >= from && nowMs - timeMs < to).length;
    expect(between(0, 2 * hour)).toBe(24);
    expect(between(2 * hour, day)).toBe(22);
    expect(between(day, 7 * day)).toBe(72);
    expect(between(7 * day, 15 * day)).toBe(48);
    expect(points.filter(({ timeMs }) => nowMs - timeMs > 15 * day)).toEqual([]);
  });

  it('is bounded by the retention of the policy, down to none but the newest', () => {
    expect(survivorsOf(2, day).points).toHaveLength(24 + 22 + 1);
    expect(survivorsOf(1, hour).points).toHaveLength(13);
    expect(survivorsOf(1, 0).points).toHaveLength(1);
  });

  it('never drops the newest point, however old it is', () => {
    const points = [pointAt(start), pointAt(start + minute)];
    expect(pointsToDrop(points, { tiers, historyMs: day }, start + 400 * day)).toEqual([points[0]]);
  });

  it('prefers an app-consistent point to the others of its interval', () => {
    const app = pointAt(start + 20 * minute, 'AppConsistent');
    const points = [pointAt(start), app, pointAt(start + 40 * minute), pointAt(start + 10 * hour)];
    const going = pointsToDrop(points, { tiers, historyMs: day }, start + 10 * hour);
    expect(going).toEqual([points[0], points[2]]);
  });

  it('drops nothing that it has just kept, and leaves a point in every interval that had one', () => {
    const times = fc.array(fc.nat(20 * 24 * 60), { maxLength: 200 });
    const consistency = fc.constantFrom('CrashConsistent' as const, 'AppConsistent' as const);
    fc.assert(
      fc.property(times, fc.array(consistency, { minLength: 1 }), fc.nat(15), (minutes, kinds, days) => {
        const points = minutes.map((at, index) => pointAt(start + at * minute, kinds[index % kinds.length]));
        const retention = { tiers, historyMs: days * day };
        const nowMs = start + 20 * day;
        const going = new Set(pointsToDrop(points, retention, nowMs));
        const kept = points.filter((point) => !going.has(point));
        expect(pointsToDrop(kept, retention, nowMs)).toEqual([]);
        for (const { timeMs } of going) {
          const ageMs = nowMs - timeMs;
          const tier = tiers.find(({ upToMs }) => ageMs < upToMs);
          const isCovered =
            ageMs > retention.historyMs ||
            tier === undefined ||
            kept.some((one) => Math.floor(one.timeMs / tier.everyMs) === Math.floor(timeMs / tier.everyMs));
          expect(isCovered).toBe(true);
        }
      }),
    );
  });
});

describe('the setting of retention', () => {
  it('says what is wrong with it', () => {
    expect(RetentionTiers.parse('1h=all,30d=6h')).toEqual([
      { upToMs: hour, everyMs: 0 },
      { upToMs: 30 * day, everyMs: 6 * hour },
    ]);
    for (const wrong of ['', '2h', '2h=sometimes', '1d=1h,2h=all', '1d=2h,7d=3h', '15d=all', '2d=5m']) {
      expect(RetentionTiers.safeParse(wrong).success).toBe(false);
    }
  });
});
