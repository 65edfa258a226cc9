/**
 * Which recovery points stay. Site Recovery's schedule is the default: all of two hours, one an hour of a day, one every
 * two hours of seven days, one every four hours up to fifteen.
 */
import { z } from 'zod';

const minuteMs = 60_000;
const unitsMs: Record<string, number> = { m: minuteMs, h: 60 * minuteMs, d: 1440 * minuteMs };
/** Points closer than this are dense: for a day at most, so that a log of points every 30 seconds stays readable. */
const longestDenseMs = 24 * 60 * minuteMs;
const denseMs = 10 * minuteMs;

/** Points up to this age: one of every so much time, or all (0). */
export interface RetentionTier {
  upToMs: number;
  everyMs: number;
}

/** Site Recovery's own, as the setting RETENTION_TIERS has it. */
export const defaultTiers = '2h=all,1d=1h,7d=2h,15d=4h';

/** The setting: `<age>=<one every>|all`, with commas between, ages ascending; m, h and d are minutes, hours, days. */
export const RetentionTiers = z.string().transform((text, context): RetentionTier[] => {
  const parts = text.split(',');
  const tiers = parts.map((one) => parseTier(one.trim())).filter((tier) => tier !== undefined);
  const wrong = tiers.length === parts.length ? findWrong(tiers) : `is not like '${defaultTiers}'`;
  if (wrong === undefined) return tiers;
  context.addIssue({ code: 'custom', message: wrong });
  return z.NEVER;
});

function parseTier(text: string): RetentionTier | undefined {
  const match = /^([1-9]\d{0,4})([mhd])=(?:all|([1-9]\d{0,4})([mhd]))$/u.exec(text);
  if (match === null) return undefined;
  const [, age = '', ageUnit = '', every = '0', everyUnit = 'm'] = match;
  return {
    upToMs: Number(age) * (unitsMs[ageUnit] ?? 0),
    everyMs: Number(every) * (unitsMs[everyUnit] ?? 0),
  };
}

function findWrong(tiers: readonly RetentionTier[]): string | undefined {
  for (const [at, tier] of tiers.entries()) {
    const { upToMs, everyMs } = tiers[at - 1] ?? { upToMs: 0, everyMs: 0 };
    const nests = everyMs === 0 || (tier.everyMs >= everyMs && tier.everyMs % everyMs === 0);
    if (tier.upToMs <= upToMs || !nests) {
      return 'must have ascending ages, and intervals that are multiples of those before';
    }
    if (tier.everyMs < denseMs && tier.upToMs > longestDenseMs) {
      return 'keeps points less than ten minutes apart for longer than a day';
    }
  }
  return undefined;
}

/** How long and how densely points are kept. */
export interface Retention {
  tiers: readonly RetentionTier[];
  /** No point that is older is kept, but for the newest of all. The policy's recoveryPointHistory. */
  historyMs: number;
}

/** A point as thinning looks at it. */
export interface AgedPoint {
  timeMs: number;
  consistency: 'CrashConsistent' | 'AppConsistent';
}

/**
 * The points that are to go. Of each interval the first app-consistent point stays, or the first if there is none; the
 * newest of all always does. Intervals are counted from a fixed moment, so that the choice is the same however often and
 * whenever it is made.
 */
export function pointsToDrop<T extends AgedPoint>(
  points: readonly T[],
  retention: Retention,
  nowMs: number,
): T[] {
  const ascending = points.toSorted((a, b) => a.timeMs - b.timeMs);
  const newest = ascending.at(-1);
  const chosen = new Map<string, T>();
  const staying = new Set<T>(newest === undefined ? [] : [newest]);
  for (const point of ascending) {
    const interval = intervalOf(point, retention, nowMs);
    if (interval === 'all') staying.add(point);
    if (interval === 'all' || interval === 'none') continue;
    const other = chosen.get(interval);
    const isBetter = other?.consistency === 'CrashConsistent' && point.consistency === 'AppConsistent';
    if (other === undefined || isBetter) chosen.set(interval, point);
  }
  for (const point of chosen.values()) staying.add(point);
  return ascending.filter((point) => !staying.has(point));
}

/** Up to which age all points stay. */
export function denseAgeMs({ tiers, historyMs }: Retention): number {
  const [first] = tiers;
  return Math.min(historyMs, first?.everyMs === 0 ? first.upToMs : 0);
}

function intervalOf({ timeMs }: AgedPoint, { tiers, historyMs }: Retention, nowMs: number): string {
  const ageMs = nowMs - timeMs;
  if (ageMs > historyMs) return 'none';
  const tier = tiers.find(({ upToMs }) => ageMs < upToMs);
  if (tier === undefined) return 'none';
  return tier.everyMs === 0 ? 'all' : `${tier.everyMs}/${Math.floor(timeMs / tier.everyMs)}`;
}
