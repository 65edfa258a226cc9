import type { LoadedInstance, Step } from './task-hub.ts';
import { answeredTaskId, endsTask, EventType, schedulesTask, type HistoryEvent } from './history.ts';
import type { InstanceState, Message } from './instance.ts';

const controlTypes = new Set<number>([
  EventType.ExecutionTerminated,
  EventType.ExecutionSuspended,
  EventType.ExecutionResumed,
]);

/** Table Storage takes 100 rows a transaction; a step also writes its state and its page. */
const maxInboxRowsPerStep = 90;

/** An instance that has not ended, in memory with all it needs; the table has the same, at most one step behind. */
export class LiveInstance {
  state: InstanceState;
  etag: string;
  pageCount: number;
  history: HistoryEvent[];
  /** Each event of the history as JSON, so that a replay does not serialize it again. */
  historyTexts: string[];
  readonly canceledTimerIds: Set<number>;
  mailbox: Message[];
  readonly timers = new Map<number, NodeJS.Timeout>();
  #openTasks: Map<number, HistoryEvent>;

  constructor(loaded: LoadedInstance) {
    this.state = loaded.state;
    this.etag = loaded.etag;
    this.pageCount = loaded.pageCount;
    this.history = loaded.history;
    this.historyTexts = loaded.history.map((event) => JSON.stringify(event));
    this.canceledTimerIds = new Set(loaded.canceledTimerIds);
    this.mailbox = [...loaded.carried.map((event) => ({ event, isCarried: true })), ...loaded.inbox];
    this.#openTasks = openTasksOf(loaded.history);
  }

  /** Tasks to begin again after a start of the host: open, not cancelled, and not answered in the inbox. */
  tasksToResume(): HistoryEvent[] {
    const answered = new Set(
      this.mailbox
        .filter((message) => message.executionId === this.state.executionId)
        .map((message) => answeredTaskId(message.event)),
    );
    return [...this.#openTasks.values()].filter(
      ({ EventId }) => !answered.has(EventId) && !this.canceledTimerIds.has(EventId),
    );
  }

  /** Says whether there is something to do now. */
  hasWork(): boolean {
    if (this.state.status === 'Pending') return true;
    return this.mailbox.some((message) => this.#isReady(message));
  }

  #isReady(message: Message): boolean {
    return this.state.status !== 'Suspended' || controlTypes.has(message.event.EventType);
  }

  /** Takes from the mailbox what the next step shall see; `staleInboxKeys` are of messages that no longer count. */
  takeMessages(): { messages: Message[]; staleInboxKeys: string[] } {
    const messages: Message[] = [];
    const staleInboxKeys: string[] = [];
    const left: Message[] = [];
    const answered = new Set<number>();
    let rows = 0;
    for (const message of this.mailbox) {
      if (!this.#isReady(message) || rows >= maxInboxRowsPerStep) {
        left.push(message);
        continue;
      }
      if (message.inboxKey !== undefined) rows += 1;
      if (this.#isStale(message, answered)) {
        if (message.inboxKey !== undefined) staleInboxKeys.push(message.inboxKey);
      } else messages.push(message);
    }
    this.mailbox = left;
    return { messages, staleInboxKeys };
  }

  /** For an execution that has been left, or an answer to a task that has one. */
  #isStale(message: Message, answered: Set<number>): boolean {
    if (message.executionId !== undefined && message.executionId !== this.state.executionId) return true;
    if (!endsTask(message.event)) return false;
    const id = answeredTaskId(message.event) ?? -1;
    if (!this.#openTasks.has(id) || this.canceledTimerIds.has(id) || answered.has(id)) return true;
    answered.add(id);
    return false;
  }

  /** Takes over a step that has been committed. */
  apply(step: Step, etag: string): void {
    this.etag = etag;
    this.pageCount = step.pageCount;
    this.state = step.state;
    if (step.page === undefined) {
      this.history = [];
      this.historyTexts = [];
      this.canceledTimerIds.clear();
      this.#openTasks = new Map();
      this.clearTimers();
      return;
    }
    this.history.push(...step.page.events);
    this.historyTexts.push(...step.page.events.map((event) => JSON.stringify(event)));
    for (const event of step.page.events) updateOpenTasks(this.#openTasks, event);
    for (const id of step.page.canceledTimerIds) {
      this.canceledTimerIds.add(id);
      clearTimeout(this.timers.get(id));
      this.timers.delete(id);
    }
  }

  clearTimers(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }
}

function openTasksOf(history: HistoryEvent[]): Map<number, HistoryEvent> {
  const open = new Map<number, HistoryEvent>();
  for (const event of history) updateOpenTasks(open, event);
  return open;
}

function updateOpenTasks(open: Map<number, HistoryEvent>, event: HistoryEvent): void {
  if (schedulesTask(event)) open.set(event.EventId, event);
  else if (endsTask(event)) open.delete(answeredTaskId(event) ?? -1);
}
