import { describe, expect, it } from 'vitest';
import { itemOfTest } from './item-of-test.ts';
import { lookAtItem } from './item-watch.ts';

const hourMs = 3_600_000;
const startMs = Date.UTC(2026, 0, 1);
const item = { ...itemOfTest, state: 'Protected' as const, protectedAtMs: startMs };

/** What the watch finds some hours after the item was protected. */
function codesAfter(
  hours: number,
  told: { newestAtHours: number; appAtHours?: number; appConsistentMinutes?: number },
): string[] {
  const newest = {
    name: '00000000-0000-5000-8000-000000000001',
    sequence: 9,
    timeMs: startMs + told.newestAtHours * hourMs,
  };
  const facts = {
    progress: undefined,
    anchor: {
      sequence: 9,
      hash: '',
      newest,
      ...(told.appAtHours !== undefined && { newestAppConsistentAtMs: startMs + told.appAtHours * hourMs }),
    },
    thresholdMinutes: 600,
    appConsistentMinutes: told.appConsistentMinutes ?? 60,
    nowMs: startMs + hours * hourMs,
  };
  return lookAtItem(item, facts, undefined)?.errors.map(({ errorCode }) => errorCode) ?? [];
}

describe('points that are consistent for applications', () => {
  it('raise a warning when three in a row were not made', () => {
    expect(codesAfter(2.9, { newestAtHours: 2.9 })).toEqual([]);
    expect(codesAfter(3.1, { newestAtHours: 3.05 })).toEqual(['90074']);
    expect(codesAfter(5, { newestAtHours: 5, appAtHours: 1.5 })).toEqual(['90074']);
    expect(codesAfter(5, { newestAtHours: 5, appAtHours: 2.5 })).toEqual([]);
  });

  it('raise none where the policy wants none, nor while replication stands', () => {
    expect(codesAfter(9, { newestAtHours: 9, appConsistentMinutes: 0 })).toEqual([]);
    expect(codesAfter(9, { newestAtHours: 2 })).toEqual([]);
  });
});
