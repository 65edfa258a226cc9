// Runs the orchestrations of a task hub. Each instance moves in steps; a step is committed before anything that
// follows from it begins, so that a killed host finds in the hub all that has to go on.
import { randomUUID } from 'node:crypto';

import { describeError, type Logger } from '../log.ts';
import { EventType, historyEvent, type HistoryEvent } from './history.ts';
import { isFinal, type InstanceState, type Message, type ParentTask } from './instance.ts';
import { KeyedLock, Limiter } from './limiter.ts';
import { LiveInstance } from './live-instance.ts';
import { planStep, type PlannedStep, type RunOrchestrator } from './step.ts';
import { FencedError, type StoredInstance, type TaskHub } from './task-hub.ts';

/** There is an instance of that id that has not ended. */
export class InstanceExistsError extends Error {}

/** No orchestrator has that name. */
export class UnknownOrchestratorError extends Error {}

/** What became of a message to an instance. */
export type Delivery = 'accepted' | 'unknown' | 'ended';

/** What an orchestration calls: the app's functions. */
export type AppFunctions = {
  hasOrchestrator(name: string): boolean;
  hasActivity(name: string): boolean;
  runOrchestrator: RunOrchestrator;
  /** Runs an activity; gives its result as JSON text. */
  runActivity(name: string, input: string | null): Promise<string | null>;
};

type StartRequest = {
  name: string;
  instanceId: string;
  input: string | null;
  version?: string | undefined;
  parent?: ParentTask;
};

/** setTimeout takes 31 bits of milliseconds. */
const longestTimeoutMs = 2 ** 31 - 1;
const loadsAtOnce = 8;

/** The orchestrations of one task hub, whose only host this is. */
export class Engine {
  readonly #hub: TaskHub;
  readonly #functions: AppFunctions;
  readonly #log: Logger;
  readonly #live = new Map<string, LiveInstance>();
  readonly #pumps = new Map<string, Promise<void>>();
  readonly #locks = new KeyedLock();
  readonly #steps: Limiter;
  readonly #activities: Limiter;
  #isClosing = false;

  constructor(options: {
    hub: TaskHub;
    functions: AppFunctions;
    log: Logger;
    maxActivities: number;
    maxOrchestrators: number;
  }) {
    this.#hub = options.hub;
    this.#functions = options.functions;
    this.#log = options.log;
    this.#steps = new Limiter(options.maxOrchestrators);
    this.#activities = new Limiter(options.maxActivities);
  }

  /** Takes up everything that had not ended when the host last stopped, however it stopped. */
  async resume(): Promise<void> {
    const stored: StoredInstance[] = [];
    let continuationToken: string | undefined;
    do {
      const page = await this.#hub.list({ onlyOpen: true, continuationToken });
      stored.push(...page.instances);
      continuationToken = page.continuationToken;
    } while (continuationToken !== undefined);
    const loads = new Limiter(loadsAtOnce);
    await Promise.all(
      stored.map((instance) =>
        loads.run(async () => {
          this.#live.set(instance.state.instanceId, new LiveInstance(await this.#hub.load(instance)));
        }),
      ),
    );
    if (stored.length > 0)
      this.#log('information', 'Host.Durable', `Resuming ${stored.length} orchestrations`);
    for (const live of this.#live.values()) {
      for (const task of live.tasksToResume()) this.#begin(live, task);
      this.#pump(live);
    }
  }

  /** Stops after the steps that are being taken. What runs on is begun again at the next start. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const live of this.#live.values()) live.clearTimers();
    await Promise.allSettled(this.#pumps.values());
  }

  /**
   * Starts an instance, atomically: of two starts of one id one wins.
   * @throws InstanceExistsError, UnknownOrchestratorError
   */
  async start(request: StartRequest): Promise<void> {
    const { instanceId, name } = request;
    if (!this.#functions.hasOrchestrator(name)) {
      throw new UnknownOrchestratorError(
        `The function '${name}' doesn't exist, is disabled, or is not an orchestrator function.`,
      );
    }
    await this.#locks.run(instanceId, async () => {
      const refusal = new InstanceExistsError(
        `An Orchestration instance with the status Running, Pending, Suspended or ContinuedAsNew already exists: ${instanceId}`,
      );
      if (this.#live.has(instanceId)) throw refusal;
      const state = newState(request);
      let etag = await this.#hub.create(state);
      if (etag === undefined) {
        const existing = await this.#hub.find(instanceId);
        if (existing === undefined || !isFinal(existing.state.status)) throw refusal;
        etag = await this.#hub.create(state, existing.etag);
        if (etag === undefined) throw refusal;
        this.#removePages(existing.state, existing.pageCount);
      }
      const live = new LiveInstance({
        state,
        etag,
        pageCount: 0,
        carried: [],
        history: [],
        canceledTimerIds: [],
        inbox: [],
      });
      this.#live.set(instanceId, live);
      this.#pump(live);
    });
  }

  /** Finds an instance's state. */
  async find(instanceId: string): Promise<InstanceState | undefined> {
    return this.#live.get(instanceId)?.state ?? (await this.#hub.find(instanceId))?.state;
  }

  /** An instance's history so far. */
  async history(instanceId: string): Promise<HistoryEvent[]> {
    const live = this.#live.get(instanceId);
    if (live !== undefined) return live.history;
    const stored = await this.#hub.find(instanceId);
    return stored === undefined ? [] : (await this.#hub.load(stored)).history;
  }

  /** Lists instances, a page at a time. */
  list(options: { pageSize?: number; continuationToken?: string | undefined }): ReturnType<TaskHub['list']> {
    return this.#hub.list(options);
  }

  /** Sends an event to an instance; once it is accepted it will not be lost. */
  async send(instanceId: string, event: HistoryEvent): Promise<Delivery> {
    if (!this.#live.has(instanceId)) {
      return (await this.#hub.find(instanceId)) === undefined ? 'unknown' : 'ended';
    }
    const message = await this.#hub.keep(instanceId, { event });
    const live = this.#live.get(instanceId);
    if (live === undefined) {
      await this.#hub.forget(instanceId, message.inboxKey ?? '');
      return 'ended';
    }
    live.mailbox.push(message);
    this.#pump(live);
    return 'accepted';
  }

  /** Removes an instance that has ended, with its history. @returns whether it did */
  async purge(instanceId: string): Promise<boolean> {
    return this.#locks.run(instanceId, async () => {
      const state = await this.find(instanceId);
      if (state === undefined || !isFinal(state.status) || this.#live.has(instanceId)) return false;
      await this.#hub.purge(instanceId);
      return true;
    });
  }

  #pump(live: LiveInstance): void {
    const { instanceId } = live.state;
    if (this.#pumps.has(instanceId) || this.#isClosing) return;
    const pump = this.#steps
      .run(() => this.#takeSteps(live))
      .catch((error: unknown) => this.#onBroken(live, error))
      .finally(() => {
        this.#pumps.delete(instanceId);
        // What arrived after the last look, before the pump was gone.
        if (this.#live.get(instanceId) === live && live.hasWork()) this.#pump(live);
      });
    this.#pumps.set(instanceId, pump);
  }

  async #takeSteps(live: LiveInstance): Promise<void> {
    while (!this.#isClosing && this.#live.get(live.state.instanceId) === live && live.hasWork()) {
      const taken = live.takeMessages();
      const isIdle = taken.messages.length === 0 && taken.staleInboxKeys.length === 0;
      if (isIdle && live.state.status !== 'Pending') continue;
      const step = await planStep(live, taken, {
        run: this.#functions.runOrchestrator,
        check: (scheduled) => this.#checkNames(scheduled),
      });
      const before = live.state;
      const pagesBefore = live.pageCount;
      live.apply(step, await this.#hub.commit(live.etag, step));
      this.#follow(live, step, before);
      if (step.page === undefined) {
        live.mailbox.unshift(...step.unread.map((event) => ({ event, isCarried: true })));
        this.#removePages(before, pagesBefore);
      }
    }
  }

  #onBroken(live: LiveInstance, error: unknown): void {
    if (this.#isClosing) return;
    // Its state in the hub is whole; the next start of the host takes it up from there.
    this.#live.delete(live.state.instanceId);
    live.clearTimers();
    const what =
      error instanceof FencedError ? 'left to the other host' : 'stopped until the host starts again';
    this.#log(
      'error',
      'Host.Durable',
      `Instance ${live.state.instanceId} is ${what}: ${describeError(error)}`,
    );
  }

  /** An unknown name is an error of the orchestrator, found before the step is committed. */
  #checkNames(scheduled: HistoryEvent[]): void {
    for (const { EventType: type, Name = '' } of scheduled) {
      if (type === EventType.TaskScheduled && !this.#functions.hasActivity(Name)) {
        throw new Error(`The function '${Name}' doesn't exist, is disabled, or is not an activity function.`);
      }
      if (type === EventType.SubOrchestrationInstanceCreated && !this.#functions.hasOrchestrator(Name)) {
        throw new Error(
          `The function '${Name}' doesn't exist, is disabled, or is not an orchestrator function.`,
        );
      }
    }
  }

  /** Sets going what a committed step has decided. */
  #follow(live: LiveInstance, step: PlannedStep, before: InstanceState): void {
    const { state } = live;
    if (isFinal(state.status)) {
      this.#live.delete(state.instanceId);
      live.clearTimers();
      this.#log(
        'information',
        'Host.Durable',
        `Instance ${state.instanceId} (${state.name}): ${state.status}`,
      );
      for (const { inboxKey } of live.mailbox) {
        if (inboxKey !== undefined) this.#runAside(() => this.#hub.forget(state.instanceId, inboxKey));
      }
      if (state.parent !== undefined) this.#answerParent(state, state.parent);
      return;
    }
    if (before.status === 'Pending') {
      this.#log('debug', 'Host.Durable', `Instance ${state.instanceId} (${state.name}) has begun`);
    }
    for (const task of step.scheduled) {
      if (!live.canceledTimerIds.has(task.EventId)) this.#begin(live, task);
    }
  }

  #begin(live: LiveInstance, task: HistoryEvent): void {
    if (task.EventType === EventType.TimerCreated) this.#armTimer(live, task);
    else if (task.EventType === EventType.TaskScheduled) this.#runAside(() => this.#runActivity(live, task));
    else this.#runAside(() => this.#startChild(live, task));
  }

  #armTimer(live: LiveInstance, task: HistoryEvent): void {
    const FireAt = task.FireAt ?? '';
    const leftMs = Date.parse(FireAt) - Date.now();
    if (leftMs > 0) {
      const timer = setTimeout(() => this.#armTimer(live, task), Math.min(leftMs, longestTimeoutMs));
      live.timers.set(task.EventId, timer);
      return;
    }
    live.timers.delete(task.EventId);
    const { executionId } = live.state;
    live.mailbox.push({ event: historyEvent('TimerFired', { TimerId: task.EventId, FireAt }), executionId });
    this.#pump(live);
  }

  async #runActivity(live: LiveInstance, task: HistoryEvent): Promise<void> {
    const { instanceId, executionId } = live.state;
    const { Name = '', Input = null, EventId } = task;
    const event = await this.#activities.run(async () => {
      // The instance may have ended, or the host may be stopping, while this waited for its turn.
      if (this.#isClosing || this.#live.get(instanceId)?.state.executionId !== executionId) return undefined;
      try {
        const Result = await this.#functions.runActivity(Name, Input);
        return historyEvent('TaskCompleted', { TaskScheduledId: EventId, Result });
      } catch (error) {
        const Reason = `Activity function '${Name}' failed: ${messageOf(error)}`;
        return historyEvent('TaskFailed', { TaskScheduledId: EventId, Reason, Details: stackOf(error) });
      }
    });
    if (event !== undefined) await this.#deliver(instanceId, { event, executionId });
  }

  async #startChild(live: LiveInstance, task: HistoryEvent): Promise<void> {
    const { instanceId, executionId } = live.state;
    const parent: ParentTask = { instanceId, executionId, taskId: task.EventId };
    const childId = task.InstanceId ?? '';
    const child = await this.find(childId);
    if (child !== undefined && isSameTask(child.parent, parent)) {
      if (isFinal(child.status)) this.#answerParent(child, parent);
      return;
    }
    try {
      await this.start({ name: task.Name ?? '', instanceId: childId, input: task.Input ?? null, parent });
    } catch (error) {
      if (!(error instanceof InstanceExistsError || error instanceof UnknownOrchestratorError)) throw error;
      const event = historyEvent('SubOrchestrationInstanceFailed', {
        TaskScheduledId: task.EventId,
        Reason: error.message,
        Details: error.message,
      });
      await this.#deliver(instanceId, { event, executionId });
    }
  }

  #answerParent(child: InstanceState, parent: ParentTask): void {
    const TaskScheduledId = parent.taskId;
    const reason = `Sub-orchestrator function '${child.name}' ${child.status.toLowerCase()}: ${child.output ?? ''}`;
    const event =
      child.status === 'Completed'
        ? historyEvent('SubOrchestrationInstanceCompleted', { TaskScheduledId, Result: child.output })
        : historyEvent('SubOrchestrationInstanceFailed', {
            TaskScheduledId,
            Reason: reason,
            Details: reason,
          });
    this.#runAside(() => this.#deliver(parent.instanceId, { event, executionId: parent.executionId }));
  }

  /** Gives a task's answer to its instance. A suspended one will not take it for long, so it is kept. */
  async #deliver(instanceId: string, message: Message): Promise<void> {
    const kept =
      this.#live.get(instanceId)?.state.status === 'Suspended'
        ? await this.#hub.keep(instanceId, message)
        : message;
    const live = this.#live.get(instanceId);
    if (live === undefined) {
      if (kept.inboxKey !== undefined) await this.#hub.forget(instanceId, kept.inboxKey);
      return;
    }
    live.mailbox.push(kept);
    this.#pump(live);
  }

  #removePages({ instanceId, executionId }: InstanceState, pageCount: number): void {
    this.#runAside(() => this.#hub.removePages(instanceId, executionId, pageCount));
  }

  #runAside(task: () => Promise<void>): void {
    task().catch((error: unknown) => {
      if (!this.#isClosing) this.#log('error', 'Host.Durable', describeError(error));
    });
  }
}

function newState(request: StartRequest): InstanceState {
  const at = new Date().toISOString();
  return {
    instanceId: request.instanceId,
    name: request.name,
    version: request.version,
    executionId: randomUUID(),
    status: 'Pending',
    createdAt: at,
    updatedAt: at,
    input: request.input,
    output: null,
    customStatus: null,
    parent: request.parent,
  };
}

function isSameTask(left: ParentTask | undefined, right: ParentTask): boolean {
  return (
    left?.instanceId === right.instanceId &&
    left.executionId === right.executionId &&
    left.taskId === right.taskId
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
