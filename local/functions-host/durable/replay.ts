// The decision of an orchestration. Its answer lists all actions since the start, in order; this plays them
// against the history, as the host does: one top-level action after the other, each awaited, ids given in the order
// in which tasks are scheduled. A task whose id has no Scheduled/Created event yet is new work.
//
// An action ends for the orchestrator, which then goes on, and it settles for the host, which awaits it to the end.
// The two differ for Task.all alone: it ends with its first failure and settles with its last task. What the
// orchestrator schedules in between has its id at once, as the library counts, but is held back until then: an undo
// begins when what it undoes has ended.
import { NotSupportedError } from '../bindings.ts';
import {
  ActionType,
  answeredTaskId,
  endsTask,
  EventType,
  historyEvent,
  isFailure,
  schedulesTask,
  type Action,
  type HistoryEvent,
  type RetryOptions,
} from './history.ts';

/** What follows from an orchestrator's answer. */
export type Decision = {
  /** New tasks: events that schedule them, in the order of their ids. */
  scheduled: HistoryEvent[];
  /** Ids of tasks that have not ended, cancelled timers left out; the instance goes on until there is none. */
  openTaskIds: number[];
  /** Ids of timers that the orchestrator cancelled. */
  canceledTimerIds: number[];
  /** External events that nothing has waited for. */
  unreadEvents: HistoryEvent[];
};

/** The orchestrator does not do what its own history says it did. */
export class NonDeterministicError extends Error {}

type Ended = (failed: boolean) => void;
/** What is called when an action ends, and when it settles, which is never before. */
type Callbacks = { ended: Ended; settled: () => void };
type HeldTask = { event: HistoryEvent; position: number };
type ScheduledTask = { type: keyof typeof EventType; fields: Partial<HistoryEvent> };

/** Plays an orchestrator's actions against its history. @throws NonDeterministicError, NotSupportedError */
export function decide(actions: Action[], history: HistoryEvent[]): Decision {
  return new Replay(actions, history).run();
}

class Replay {
  readonly #actions: Action[];
  readonly #history: HistoryEvent[];
  readonly #created = new Map<number, HistoryEvent>();
  readonly #open = new Map<number, Ended>();
  readonly #canceled = new Set<number>();
  readonly #waits = new Map<string, Ended[]>();
  readonly #unread = new Map<string, HistoryEvent[]>();
  readonly #scheduled: HistoryEvent[] = [];
  /** Positions of the top-level actions that have begun and not settled. */
  readonly #unsettled = new Set<number>();
  #held: HeldTask[] = [];
  #nextId = 0;
  #position = 0;
  #isAwaiting = false;
  /** Whether tasks that are being scheduled have to wait for an earlier action to settle. */
  #isHolding = false;
  #nowMs = 0;

  constructor(actions: Action[], history: HistoryEvent[]) {
    this.#actions = actions;
    this.#history = history;
    for (const event of history) if (schedulesTask(event)) this.#created.set(event.EventId, event);
  }

  run(): Decision {
    for (const event of this.#history) this.#apply(event);
    for (const [id, event] of this.#created) {
      if (id >= this.#nextId) {
        throw new NonDeterministicError(
          `the history has task ${id} (${event.Name ?? 'timer'}), which the orchestrator no longer schedules`,
        );
      }
    }
    return {
      scheduled: this.#scheduled,
      openTaskIds: [...this.#open.keys()].filter((id) => !this.#canceled.has(id)),
      canceledTimerIds: [...this.#canceled].filter((id) => this.#open.has(id)),
      unreadEvents: this.#history.filter(
        (event) => this.#unread.get(event.Name ?? '')?.includes(event) === true,
      ),
    };
  }

  #apply(event: HistoryEvent): void {
    if (event.EventType === EventType.OrchestratorStarted) {
      this.#nowMs = Math.max(this.#nowMs, Date.parse(event.Timestamp));
    } else if (event.EventType === EventType.ExecutionStarted) {
      this.#advance();
    } else if (event.EventType === EventType.EventRaised) {
      this.#raise(event);
      this.#advance();
    } else if (endsTask(event)) {
      const id = answeredTaskId(event) ?? -1;
      const ended = this.#open.get(id);
      this.#open.delete(id);
      ended?.(isFailure(event));
      this.#advance();
    }
  }

  /** Begins top-level actions until one has to be awaited. */
  #advance(): void {
    while (!this.#isAwaiting) {
      const position = this.#position;
      const action = this.#actions[position];
      if (action === undefined) return;
      this.#position += 1;
      this.#isAwaiting = true;
      this.#isHolding = this.#unsettled.size > 0;
      this.#unsettled.add(position);
      this.#begin(action, {
        ended: () => {
          this.#isAwaiting = false;
        },
        settled: () => this.#settle(position),
      });
      this.#isHolding = false;
    }
  }

  #settle(position: number): void {
    this.#unsettled.delete(position);
    const isHeld = (held: HeldTask): boolean => [...this.#unsettled].some((other) => other < held.position);
    this.#scheduled.push(...this.#held.filter((held) => !isHeld(held)).map(({ event }) => event));
    this.#held = this.#held.filter(isHeld);
  }

  #begin(action: Action, callbacks: Callbacks): void {
    switch (action.actionType) {
      case ActionType.CallActivity:
      case ActionType.CallSubOrchestrator:
        this.#schedule(callOf(action), both(callbacks));
        return;
      case ActionType.CallActivityWithRetry:
      case ActionType.CallSubOrchestratorWithRetry:
        this.#attempt(action, 1, both(callbacks));
        return;
      case ActionType.CreateTimer:
        this.#beginTimer(action, callbacks);
        return;
      default:
        this.#beginOther(action, callbacks);
    }
  }

  /** The actions that take no id of their own. */
  #beginOther(action: Action, callbacks: Callbacks): void {
    switch (action.actionType) {
      case ActionType.ContinueAsNew:
        both(callbacks)(false);
        return;
      case ActionType.WaitForExternalEvent:
        this.#wait(action.externalEventName ?? '', both(callbacks));
        return;
      case ActionType.WhenAny:
        this.#beginAny(action.compoundActions ?? [], callbacks);
        return;
      case ActionType.WhenAll:
        this.#beginAll(action.compoundActions ?? [], callbacks);
        return;
      default:
        throw new NotSupportedError(describeAction(action.actionType));
    }
  }

  #schedule(task: ScheduledTask, ended: Ended): number {
    const id = this.#nextId;
    this.#nextId += 1;
    const made = historyEvent(task.type, { ...task.fields, EventId: id });
    const created = this.#created.get(id);
    if (created !== undefined) checkSame(id, created, made);
    else if (this.#isHolding) this.#held.push({ event: made, position: this.#position - 1 });
    else this.#scheduled.push(made);
    this.#open.set(id, ended);
    return id;
  }

  /** A timer that is cancelled never ends, and is not awaited. */
  #beginTimer(action: Action, callbacks: Callbacks): void {
    const id = this.#schedule(
      { type: 'TimerCreated', fields: { FireAt: action.fireAt ?? '' } },
      both(callbacks),
    );
    if (action.isCanceled !== true) return;
    this.#canceled.add(id);
    callbacks.settled();
  }

  /** After each failure comes a timer, after the last one too (then of no delay): the library counts on it. */
  #attempt(action: Action, number: number, ended: Ended): void {
    const options = retryOptionsOf(action);
    this.#schedule(callOf(action), (failed) => {
      if (!failed) {
        ended(false);
        return;
      }
      const isLast = number >= options.maxNumberOfAttempts;
      const delayMs = isLast ? 0 : retryDelayMs(options, number);
      const FireAt = new Date(this.#nowMs + delayMs).toISOString();
      this.#schedule({ type: 'TimerCreated', fields: { FireAt } }, () => {
        if (isLast) ended(true);
        else this.#attempt(action, number + 1, ended);
      });
    });
  }

  #beginAny(children: Action[], callbacks: Callbacks): void {
    const ended = once(() => callbacks.ended(false));
    const settled = once(callbacks.settled);
    for (const child of children) this.#begin(child, { ended, settled });
  }

  #beginAll(children: Action[], callbacks: Callbacks): void {
    let unended = children.length;
    let unsettled = children.length;
    const end = once(callbacks.ended);
    const ended = (failed: boolean): void => {
      unended -= 1;
      if (failed || unended === 0) end(failed);
    };
    const settled = (): void => {
      unsettled -= 1;
      if (unsettled === 0) callbacks.settled();
    };
    for (const child of children) this.#begin(child, { ended, settled });
  }

  #wait(name: string, ended: Ended): void {
    const unread = this.#unread.get(name);
    if (unread !== undefined && unread.length > 0) {
      unread.shift();
      ended(false);
      return;
    }
    this.#waits.set(name, [...(this.#waits.get(name) ?? []), ended]);
  }

  /** The latest wait of a name gets the event; without one it is kept, first in first out. */
  #raise(event: HistoryEvent): void {
    const name = event.Name ?? '';
    const ended = this.#waits.get(name)?.pop();
    if (ended === undefined) this.#unread.set(name, [...(this.#unread.get(name) ?? []), event]);
    else ended(false);
  }
}

/** For actions that settle when they end. */
function both({ ended, settled }: Callbacks): Ended {
  return (failed) => {
    ended(failed);
    settled();
  };
}

function once<T extends unknown[]>(call: (...parameters: T) => void): (...parameters: T) => void {
  let isCalled = false;
  return (...parameters) => {
    if (!isCalled) call(...parameters);
    isCalled = true;
  };
}

function checkSame(id: number, created: HistoryEvent, made: HistoryEvent): void {
  if (created.EventType === made.EventType && created.Name === made.Name) return;
  throw new NonDeterministicError(
    `task ${id} was ${created.Name ?? 'a timer'} and is now ${made.Name ?? 'a timer'}; ` +
      'an orchestrator must do the same each time it is replayed',
  );
}

function callOf(action: Action): ScheduledTask {
  const Name = action.functionName ?? '';
  const isActivity =
    action.actionType === ActionType.CallActivity || action.actionType === ActionType.CallActivityWithRetry;
  if (isActivity) return { type: 'TaskScheduled', fields: { Name, Input: inputText(action.input) } };
  return {
    type: 'SubOrchestrationInstanceCreated',
    fields: {
      Name,
      Input: action.input === undefined ? null : JSON.stringify(action.input),
      ...(action.instanceId === undefined || action.instanceId === null
        ? {}
        : { InstanceId: action.instanceId }),
    },
  };
}

/** The library has already made JSON of the inputs of activities and continueAsNew that are strings. */
export function inputText(input: unknown): string | null {
  if (input === undefined) return null;
  return typeof input === 'string' ? input : JSON.stringify(input);
}

function retryOptionsOf(action: Action): RetryOptions {
  const options = action.retryOptions;
  if (options === undefined) throw new Error(`the retry of ${action.functionName ?? ''} has no options`);
  if (options.retryTimeoutInMilliseconds !== undefined) {
    throw new NotSupportedError(`retryTimeoutInMilliseconds of ${action.functionName ?? ''}`);
  }
  return options;
}

/** Milliseconds between a failed attempt (the first is 1) and the next one. */
export function retryDelayMs(options: RetryOptions, failedAttempt: number): number {
  const factor = (options.backoffCoefficient ?? 1) ** (failedAttempt - 1);
  const longestMs = options.maxRetryIntervalInMilliseconds ?? Infinity;
  return Math.min(options.firstRetryIntervalInMilliseconds * factor, longestMs);
}

function describeAction(actionType: number): string {
  const names: Record<number, string> = {
    7: 'callEntity',
    8: 'callHttp',
    9: 'signalEntity',
    13: 'df.lock',
    14: 'df.lock',
  };
  return `the orchestrator's action ${names[actionType] ?? actionType}`;
}
