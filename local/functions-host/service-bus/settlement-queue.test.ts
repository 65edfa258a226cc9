import { expect, test } from 'vitest';

import { SettlementQueue } from './settlement-queue.ts';

test('no two settlements begin in one turn of the event loop, and all keep their order', async () => {
  const queue = new SettlementQueue();
  let turn = 0;
  let isOver = false;
  const count = (): void => {
    turn += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const turns: number[] = [];
  const settlements = Array.from({ length: 50 }, (_unused, index) =>
    queue.run(async () => {
      turns.push(turn);
      if (index % 7 === 0) throw new Error('the lock is lost');
      return index;
    }),
  );
  const outcomes = await Promise.allSettled(settlements);
  isOver = true;
  expect(new Set(turns).size).toBe(50);
  expect(turns).toEqual(turns.toSorted((left, right) => left - right));
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(8);
});
