import { expect, it } from 'vitest';
import { CallerLimit } from './caller-limit.ts';

/** How many of a number of requests at one moment fit. */
function fitting(limit: CallerLimit, callerId: string, asked: { count: number; atMs: number }): number {
  return Array.from({ length: asked.count }, () => limit.take(callerId, asked.atMs)).filter(Boolean).length;
}

it('a caller may send a second’s requests at once, and then as many as time allows', () => {
  const limit = new CallerLimit(100);
  expect(fitting(limit, 'a', { count: 150, atMs: 0 })).toBe(100);
  expect(fitting(limit, 'a', { count: 150, atMs: 500 })).toBe(50);
  expect(fitting(limit, 'a', { count: 150, atMs: 60_000 })).toBe(100);
});

it('one caller takes nothing from another', () => {
  const limit = new CallerLimit(100);
  fitting(limit, 'a', { count: 150, atMs: 0 });
  expect(fitting(limit, 'b', { count: 150, atMs: 0 })).toBe(100);
});

it('a clock that goes back gives nobody more', () => {
  const limit = new CallerLimit(100);
  expect(fitting(limit, 'a', { count: 100, atMs: 10_000 })).toBe(100);
  expect(fitting(limit, 'a', { count: 100, atMs: 0 })).toBe(0);
});

it('many callers are not remembered for ever', () => {
  const limit = new CallerLimit(1);
  for (let number = 0; number < 25_000; number += 1) limit.take(`caller-${number}`, number);
  expect(limit.take('caller-0', 25_000)).toBe(true);
});
