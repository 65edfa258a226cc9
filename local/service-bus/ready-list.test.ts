import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReadyList } from './ready-list.ts';

test('gives its items in sequence order, in whatever order they come, go and come back', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('insert' as const), sequence: fc.nat(500) }),
    fc.record({ kind: fc.constant('shift' as const) }),
    fc.record({ kind: fc.constant('remove' as const), divisor: fc.integer({ min: 2, max: 9 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const list = new ReadyList<{ sequence: number }>();
      let model: number[] = [];
      const taken: [unknown, unknown][] = [];
      for (const each of steps) {
        if (each.kind === 'insert') {
          if (model.includes(each.sequence)) continue;
          list.insert({ sequence: each.sequence });
          model = [...model, each.sequence].sort((left, right) => left - right);
        } else if (each.kind === 'shift') {
          taken.push([list.shift()?.sequence, model.shift()]);
        } else {
          const isOut = ({ sequence }: { sequence: number }) => sequence % each.divisor === 0;
          const removed = list.removeWhere(isOut).map(({ sequence }) => sequence);
          taken.push([removed, model.filter((sequence) => isOut({ sequence }))]);
          model = model.filter((sequence) => !isOut({ sequence }));
        }
        expect(list.length).toBe(model.length);
        expect([...list].map(({ sequence }) => sequence)).toEqual(model);
      }
      for (const [got, expected] of taken) expect(got).toEqual(expected);
    }),
  );
});

test('stays in order while thousands of items pass through', () => {
  const list = new ReadyList<{ sequence: number }>();
  const taken: number[] = [];
  const take = () => taken.push(list.shift()?.sequence ?? -1);
  for (let sequence = 0; sequence < 5000; sequence++) {
    list.insert({ sequence });
    if (sequence % 2 === 1) take();
  }
  while (list.length > 0) take();
  expect(taken).toEqual(Array.from({ length: 5000 }, (_, sequence) => sequence));
});
