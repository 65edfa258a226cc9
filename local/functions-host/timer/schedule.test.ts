import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseTimeSpanMs } from '../time-span.ts';
import { parseSchedule } from './schedule.ts';

test.for<[string, string, string]>([
  ['0 */15 * * * *', '2026-01-01T00:00:00Z', '2026-01-01T00:15:00Z'],
  ['0 */15 * * * *', '2026-01-01T23:59:59.999Z', '2026-01-02T00:00:00Z'],
  ['* * * * * *', '2026-01-01T00:00:00.500Z', '2026-01-01T00:00:01Z'],
  ['*/15 * * * *', '2026-01-01T00:01:00Z', '2026-01-01T00:15:00Z'],
  ['0 0 0 1 1 *', '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z'],
  ['0 30 9-17/4 * * Mon-Fri', '2026-11-20T17:30:00Z', '2026-11-23T09:30:00Z'],
  ['5,10 0 0 29 Feb *', '2026-01-01T00:00:00Z', '2028-02-29T00:00:05Z'],
  ['0 0 12 31 * *', '2026-04-01T00:00:00Z', '2026-05-31T12:00:00Z'],
  ['0 0 0 * * fri-sun', '2026-11-19T00:00:00Z', '2026-11-20T00:00:00Z'],
  ['0 0 0 29 2 1', '2026-01-01T00:00:00Z', '2044-02-29T00:00:00Z'],
  ['00:00:30', '2026-01-01T00:00:00Z', '2026-01-01T00:00:30Z'],
  ['1.02:00:00', '2026-01-01T00:00:00Z', '2026-01-02T02:00:00Z'],
])('%s after %s comes at %s', ([text, after, next]) => {
  const found = parseSchedule(text).nextAfterMs(Date.parse(after));
  expect(new Date(found).toISOString()).toBe(new Date(next).toISOString());
});

test.for([
  ['0 60 * * * *', "'60' is no minute"],
  ['0 0 24 * * *', "'24' is no hour"],
  ['0 0 0 0 * *', "'0' is no day"],
  ['0 0 0 * foo *', "'foo' is no month"],
  ['0 */0 * * * *', "'*/0' is no minute"],
  ['0 1-b * * * *', "'1-b' is no minute"],
  ['* * *', 'neither NCRONTAB'],
  ['00:00:00', 'longer than nothing'],
])('%s is refused: %s', ([text = '', message = '']) => {
  expect(() => parseSchedule(text)).toThrow(message);
});

test('a day that never comes is an error', () => {
  expect(() => parseSchedule('0 0 0 31 2 *').nextAfterMs(0)).toThrow('never comes');
});

test('each occurrence lies after the last one and fits its fields', () => {
  const numbers = fc.record({
    second: fc.integer({ min: 0, max: 59 }),
    minute: fc.integer({ min: 0, max: 59 }),
    hour: fc.integer({ min: 0, max: 23 }),
    atMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  });
  fc.assert(
    fc.property(numbers, ({ second, minute, hour, atMs }) => {
      const next = parseSchedule(`${second} ${minute} ${hour} * * *`).nextAfterMs(atMs);
      expect(next).toBeGreaterThan(atMs);
      expect(next - atMs).toBeLessThanOrEqual(86_400_000);
      const date = new Date(next);
      expect([date.getUTCSeconds(), date.getUTCMinutes(), date.getUTCHours()]).toEqual([
        second,
        minute,
        hour,
      ]);
    }),
  );
});

test('time spans are read as .NET writes them', () => {
  expect(['00:10:00', '1.00:00:00.5', '01:30', '24:00:00', 'soon', ''].map(parseTimeSpanMs)).toEqual([
    600_000,
    86_400_500,
    5_400_000,
    undefined,
    undefined,
    undefined,
  ]);
});
