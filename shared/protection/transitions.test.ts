import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { itemOfTest } from './item-of-test.ts';
import { type ProtectedItem } from './protected-item.ts';
import {
  agentReady,
  allowedOperations,
  disabling,
  jobLeaves,
  jobTakes,
  nowProtected,
  replicationStarted,
} from './transitions.ts';

const enableJob = itemOfTest.enableJobId;
const otherJob = '01890000-0000-7000-8000-00000000000f';
const anyJob = fc.constantFrom(enableJob, otherJob);

type Move = (item: ProtectedItem) => ProtectedItem;

const move: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ jobId: anyJob, version: fc.constantFrom(undefined, '1', '2') }).map(
    (agent): Move =>
      (item) =>
        agentReady(item, agent),
  ),
  anyJob.map(
    (jobId): Move =>
      (item) =>
        replicationStarted(item, jobId),
  ),
  anyJob.map(
    (jobId): Move =>
      (item) =>
        jobTakes(item, { jobId, scenario: 'IrCompletion', startedAtMs: 5 }),
  ),
  anyJob.map(
    (jobId): Move =>
      (item) =>
        jobLeaves(item, jobId),
  ),
  anyJob.map(
    (jobId): Move =>
      (item) =>
        disabling(item, jobId),
  ),
  fc.constant<Move>((item) => nowProtected(item, 7)),
);

const order = ['EnablingProtection', 'InitialReplicationInProgress', 'Protected', 'DisablingProtection'];

describe('a protected item', () => {
  it('changes nothing when a transition is applied twice, whatever came before', () => {
    fc.assert(
      fc.property(fc.array(move), move, (before, last) => {
        const item = before.reduce((item, apply) => apply(item), itemOfTest);
        const once = last(item);
        expect(last(once)).toBe(once);
      }),
    );
  });

  it('never goes back in its life', () => {
    fc.assert(
      fc.property(fc.array(move), (moves) => {
        const ranks: number[] = [];
        moves.reduce((item, apply) => {
          const next = apply(item);
          ranks.push(order.indexOf(next.state));
          return next;
        }, itemOfTest);
        expect(ranks).toEqual(ranks.toSorted((one, other) => one - other));
      }),
    );
  });

  it('allows failover only when it is protected and nothing happens to it', () => {
    const started = jobLeaves(replicationStarted(itemOfTest, enableJob), enableJob);
    const ready = nowProtected(started, 9);
    expect(allowedOperations(itemOfTest)).toEqual([]);
    expect(allowedOperations(started)).toEqual(['DisableProtection']);
    expect(allowedOperations(ready)).toContain('TestFailover');
    const held = jobTakes(ready, { jobId: otherJob, scenario: 'DisableDr', startedAtMs: 1 });
    expect(allowedOperations(held)).toEqual([]);
    expect(disabling(held, otherJob).state).toBe('DisablingProtection');
  });

  it('is not disabled by a job that does not hold it', () => {
    expect(disabling(itemOfTest, otherJob)).toBe(itemOfTest);
  });
});
