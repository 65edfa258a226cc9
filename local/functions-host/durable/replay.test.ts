import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';

import { installCoreModule } from '../core-module.ts';
import { createInvoke } from '../invoke.ts';
import { loadApp } from '../load-app.ts';
import { parseAnswer, parseFailure, type Answer } from './answer.ts';
import { ActionType, EventType, historyEvent, type Action, type HistoryEvent } from './history.ts';
import { decide, NonDeterministicError, retryDelayMs } from './replay.ts';

type Plan = { kind: string; name: string; children: Plan[]; attempts: number };
type RunPlan = (input: Plan[], history: HistoryEvent[]) => Promise<Answer>;

let runPlan: RunPlan;

const log = (): void => undefined;

beforeAll(async () => {
  const registry = installCoreModule(log);
  const appFolder = join(import.meta.dirname, '../../../test/fixtures/function-apps/plans');
  const target = (await loadApp(appFolder, registry)).find(({ name }) => name === 'plan')!;
  const invoke = createInvoke({ registry, log, timeoutMs: Infinity, clientBinding: () => ({}) });
  runPlan = async (input, history) => {
    const trigger = {
      string: JSON.stringify({
        history,
        input,
        instanceId: 'i',
        isReplaying: false,
        parentInstanceId: null,
        upperSchemaVersion: 1,
        upperSchemaVersionNew: 2,
        longRunningTimerIntervalDuration: '3650.00:00:00',
        maximumShortTimerDuration: '3650.00:00:00',
        defaultHttpAsyncRequestSleepTimeMillseconds: 30_000,
      }),
    };
    try {
      return parseAnswer((await invoke(target, { trigger })).returnValue);
    } catch (error) {
      return parseFailure(error);
    }
  };
});

function started(): HistoryEvent[] {
  return [historyEvent('OrchestratorStarted'), historyEvent('ExecutionStarted', { Name: 'plan' })];
}

function activity(name: string): Action {
  return { actionType: ActionType.CallActivity, functionName: name, input: {} };
}

function completed(id: number): HistoryEvent {
  return historyEvent('TaskCompleted', { TaskScheduledId: id, Result: 'null' });
}

function failed(id: number): HistoryEvent {
  return historyEvent('TaskFailed', { TaskScheduledId: id, Reason: 'no', Details: 'no' });
}

describe('a decision', () => {
  test('schedules the first actions and waits', () => {
    const { scheduled, openTaskIds } = decide([activity('a'), activity('b')], started());
    expect(scheduled).toMatchObject([
      { EventType: EventType.TaskScheduled, EventId: 0, Name: 'a', Input: '{}' },
    ]);
    expect(openTaskIds).toEqual([0]);
  });

  test('schedules nothing that the history has already', () => {
    const first = decide([activity('a')], started()).scheduled;
    const history = [...started(), ...first, completed(0)];
    expect(decide([activity('a'), activity('b')], history).scheduled).toMatchObject([
      { EventId: 1, Name: 'b' },
    ]);
  });

  test('puts a timer after each failed attempt, after the last one too', () => {
    const retryOptions = { firstRetryIntervalInMilliseconds: 1000, maxNumberOfAttempts: 2 };
    const actions = [{ ...activity('a'), actionType: ActionType.CallActivityWithRetry, retryOptions }];
    const history = started();
    const seen: number[] = [];
    for (const next of [failed(0), undefined, failed(2), undefined]) {
      const { scheduled } = decide(actions, history);
      history.push(...scheduled);
      seen.push(...scheduled.map((event) => event.EventType));
      history.push(next ?? historyEvent('TimerFired', { TimerId: scheduled[0]!.EventId }));
    }
    expect(seen).toEqual([
      EventType.TaskScheduled,
      EventType.TimerCreated,
      EventType.TaskScheduled,
      EventType.TimerCreated,
    ]);
    expect(decide(actions, history)).toMatchObject({ scheduled: [], openTaskIds: [] });
  });

  test('keeps an instance open while the losers of a race run, but not for a cancelled timer', () => {
    const timer = { actionType: ActionType.CreateTimer, fireAt: '2030-01-01T00:00:00.000Z' };
    const race = (isCanceled: boolean): Action[] => [
      { actionType: ActionType.WhenAny, compoundActions: [activity('a'), { ...timer, isCanceled }] },
    ];
    const history = [...started(), ...decide(race(false), started()).scheduled, completed(0)];
    expect(decide(race(false), history).openTaskIds).toEqual([1]);
    expect(decide(race(true), history)).toMatchObject({ openTaskIds: [], canceledTimerIds: [1] });
  });

  test('holds back what comes after a failed Task.all until its last task has ended', () => {
    const all = { actionType: ActionType.WhenAll, compoundActions: [activity('a'), activity('b')] };
    const actions = [all, activity('undo')];
    const history = [...started(), ...decide([all], started()).scheduled, failed(0)];
    expect(decide(actions, history)).toMatchObject({ scheduled: [], openTaskIds: [1, 2] });
    expect(decide(actions, [...history, completed(1)]).scheduled).toMatchObject([
      { EventId: 2, Name: 'undo' },
    ]);
  });

  test('keeps events that nothing has waited for, and gives the oldest to the first wait', () => {
    const wait = { actionType: ActionType.WaitForExternalEvent, externalEventName: 'e' };
    const raised = [1, 2, 3].map((Input) => historyEvent('EventRaised', { Name: 'e', Input: String(Input) }));
    const { unreadEvents } = decide([wait], [...started(), ...raised]);
    expect(unreadEvents.map(({ Input }) => Input)).toEqual(['2', '3']);
  });

  test('gives an event to the latest of two waits for its name', () => {
    const wait = { actionType: ActionType.WaitForExternalEvent, externalEventName: 'e' };
    const both = { actionType: ActionType.WhenAll, compoundActions: [wait, activity('a')] };
    const actions = [{ actionType: ActionType.WhenAny, compoundActions: [wait, both] }, activity('b')];
    const raised = historyEvent('EventRaised', { Name: 'e', Input: '1' });
    const names = (history: HistoryEvent[]): unknown[] =>
      decide(actions, history).scheduled.map(({ Name }) => Name);
    expect(names([...started(), raised])).toEqual(['a']);
    expect(names([...started(), raised, raised])).toEqual(['a', 'b']);
  });

  test('refuses an orchestrator that no longer does what its history says', () => {
    const history = [...started(), ...decide([activity('a')], started()).scheduled];
    expect(() => decide([activity('b')], history)).toThrow(NonDeterministicError);
    expect(() => decide([], history)).toThrow(NonDeterministicError);
  });

  test('refuses actions that the host does not have, by name', () => {
    for (const [actionType, name] of [
      [7, 'callEntity'],
      [8, 'callHttp'],
      [9, 'signalEntity'],
      [13, 'df.lock'],
      [99, '99'],
    ] as const) {
      expect(() => decide([{ actionType }], started())).toThrow(
        `not supported by the local host: the orchestrator's action ${name}`,
      );
    }
  });
});

test('the pause between attempts grows up to its limit', () => {
  const options = {
    firstRetryIntervalInMilliseconds: 100,
    maxNumberOfAttempts: 9,
    backoffCoefficient: 3,
    maxRetryIntervalInMilliseconds: 1000,
  };
  expect([1, 2, 3, 4].map((attempt) => retryDelayMs(options, attempt))).toEqual([100, 300, 900, 1000]);
});

const leaf = fc.record({
  kind: fc.constantFrom('activity', 'activity', 'retry', 'child', 'timer', 'event'),
  name: fc.constant(''),
  children: fc.constant([] as Plan[]),
  attempts: fc.integer({ min: 1, max: 3 }),
});
const { tree } = fc.letrec<{ tree: Plan }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    leaf,
    fc.record({
      kind: fc.constantFrom('all', 'any'),
      name: fc.constant(''),
      children: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }),
      attempts: fc.constant(1),
    }),
  ),
}));

/** Gives every task of a plan a name of its own. */
function named(plans: Plan[], prefix = 't'): Plan[] {
  return plans.map((plan, index) => {
    const name = `${prefix}${index}`;
    return { ...plan, name, children: named(plan.children, `${name}-`) };
  });
}

function eventNames(plans: Plan[]): string[] {
  return plans.flatMap(({ kind, name, children }) => [
    ...(kind === 'event' ? [name] : []),
    ...eventNames(children),
  ]);
}

type Outcome = { value?: unknown; error?: string; winner?: number };

const namedKinds = ['activity', 'retry', 'child', 'event'];

/** Every value that a plan's outcome holds is the name of the task it is said to come from. */
function isRight({ kind, name, children }: Plan, { value, error, winner = -1 }: Outcome): boolean {
  if (error !== undefined) return error.startsWith(name);
  if (kind === 'any') return winner >= 0;
  if (kind === 'timer') return value === null;
  if (kind !== 'all') return value === name;
  return children.every(
    (child, index) => !namedKinds.includes(child.kind) || (value as unknown[])[index] === child.name,
  );
}

/** Ends one open task, well or not, as `draw` (0 to 1) says; `name` is that of the task. */
function endOf(task: HistoryEvent, draw: number): HistoryEvent {
  const { EventId: TaskScheduledId, Name = '' } = task;
  const failure = { TaskScheduledId, Reason: Name, Details: Name };
  const success = { TaskScheduledId, Result: JSON.stringify(Name) };
  if (task.EventType === EventType.TimerCreated)
    return historyEvent('TimerFired', { TimerId: TaskScheduledId });
  if (task.EventType === EventType.TaskScheduled) {
    return draw < 0.4 ? historyEvent('TaskFailed', failure) : historyEvent('TaskCompleted', success);
  }
  return draw < 0.4
    ? historyEvent('SubOrchestrationInstanceFailed', failure)
    : historyEvent('SubOrchestrationInstanceCompleted', success);
}

test('whatever an orchestrator does and in whatever order its tasks end, each answer reaches its task', async () => {
  const property = fc.asyncProperty(
    fc.array(tree, { minLength: 1, maxLength: 4 }),
    fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
    async (plans, draws) => {
      const draw = (): number => draws.next().value ?? 0;
      const plan = named(plans);
      const unraised = eventNames(plan);
      const open: HistoryEvent[] = [];
      const history = started();
      for (;;) {
        const answer = await runPlan(plan, history);
        const { scheduled, openTaskIds } = decide(answer.actions, history);
        for (const event of history) event.IsPlayed = true;
        history.push(...scheduled, historyEvent('OrchestratorCompleted'));
        open.push(...scheduled);
        if (answer.isDone && openTaskIds.length === 0) {
          const outcomes = answer.output as Outcome[];
          return plan.every((task, index) => isRight(task, outcomes[index]!));
        }
        // It waits for something that never comes.
        if (open.length + unraised.length === 0) return false;
        // One to three things happen before the next replay.
        history.push(historyEvent('OrchestratorStarted'));
        const count = 1 + Math.floor(draw() * 3);
        for (let happened = 0; happened < count && open.length + unraised.length > 0; happened += 1) {
          const at = Math.floor(draw() * (open.length + unraised.length));
          if (at < open.length) history.push(endOf(open.splice(at, 1)[0]!, draw()));
          else {
            const [Name = ''] = unraised.splice(at - open.length, 1);
            history.push(historyEvent('EventRaised', { Name, Input: JSON.stringify(Name) }));
          }
        }
        if (answer.error !== undefined) return false;
      }
    },
  );
  expect((await fc.check(property, { numRuns: 300 })).counterexample).toBe(null);
});
