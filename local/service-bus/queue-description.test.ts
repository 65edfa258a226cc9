import { describe, expect, test } from 'vitest';
import { durationMs, NEVER, NEVER_MS } from './duration.ts';
import {
  checkQueueName,
  DEFAULT_DESCRIPTION,
  describeQueue,
  InvalidDescription,
  limitsOf,
} from './queue-description.ts';

describe('a duration', () => {
  test.each([
    ['PT1M', 60_000],
    ['PT0.5S', 500],
    ['P1DT2H3M4S', 93_784_000],
    ['P14D', 14 * 86_400_000],
  ])('%s is %d ms', (duration, ms) => {
    expect(durationMs(duration)).toBe(ms);
  });

  test.each(['', 'P', 'PT', 'P1DT', '1M', 'PT-1S', 'P1Y', 'PT1M '])('%j is none', (text) => {
    expect(durationMs(text)).toBeUndefined();
  });

  test('may be endless', () => {
    expect(durationMs(NEVER)).toBeGreaterThanOrEqual(NEVER_MS);
    expect(limitsOf(DEFAULT_DESCRIPTION).defaultTtlMs).toBeUndefined();
  });
});

test('limits follow from the settings', () => {
  const description = describeQueue(
    {
      LockDuration: 'PT30S',
      DefaultMessageTimeToLive: 'P1D',
      RequiresDuplicateDetection: 'true',
      DuplicateDetectionHistoryTimeWindow: 'PT1H',
      SomethingNew: 'ignored',
    },
    DEFAULT_DESCRIPTION,
  );
  expect(limitsOf(description)).toEqual({
    lockMs: 30_000,
    defaultTtlMs: 86_400_000,
    maxSizeBytes: 1024 * 1024 * 1024,
    maxDeliveryCount: 10,
    deadLetterOnExpiry: false,
    duplicateWindowMs: 3_600_000,
  });
});

test.each([
  ['LockDuration', 'PT4S'],
  ['LockDuration', 'soon'],
  ['MaxDeliveryCount', '0'],
  ['MaxDeliveryCount', '2.5'],
  ['MaxSizeInMegabytes', '-1'],
  ['DeadLetteringOnMessageExpiration', 'yes'],
  ['RequiresSession', 'true'],
  ['ForwardTo', 'sb://localhost/other'],
  ['AuthorizationRules', '{"AuthorizationRule":{}}'],
  ['Status', 'Disabled'],
])('%s = %s is refused by name', (name, value) => {
  const describe = () => describeQueue({ [name]: value }, DEFAULT_DESCRIPTION);
  expect(describe).toThrow(InvalidDescription);
  expect(describe).toThrow(name);
});

test('names are those that Service Bus takes', () => {
  for (const name of ['a', 'agent-checkins', 'a/b.c_d', 'x'.repeat(260)]) {
    expect(() => checkQueueName(name)).not.toThrow();
  }
  for (const name of ['', '-a', 'a/', 'a b', '$cbs', 'ü', 'x'.repeat(261), '😀']) {
    expect(() => checkQueueName(name)).toThrow(InvalidDescription);
  }
});
