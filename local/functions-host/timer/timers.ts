import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

import { resolveSettings, type LoadedFunction } from '../bindings.ts';
import { createPatience } from '../durable/storage-errors.ts';
import type { HostJson } from '../host-json.ts';
import type { Invoke } from '../invoke.ts';
import { describeError, type Logger } from '../log.ts';
import { parseSchedule, type Schedule } from './schedule.ts';
import { TimerStore, type TimerStatus } from './timer-store.ts';

const TimerTrigger = z.object({
  schedule: z.string(),
  runOnStartup: z.boolean().default(false),
  useMonitor: z.boolean().default(true),
});

/** Timers of an app, running. */
export type Timers = {
  /** Runs a timer's function at once, after the run that may be going on. */
  runNow(functionName: string): void;
  close(): Promise<void>;
};

/** Timers more frequent than this are not monitored: a run that was missed comes again soon. */
const leastMonitoredMs = 60_000;
/** setTimeout takes 31 bits of milliseconds. */
const longestTimeoutMs = 2 ** 31 - 1;
const closeTimeoutMs = 5_000;

/** Starts the app's timers. */
export async function startTimers(options: {
  functions: LoadedFunction[];
  invoke: Invoke;
  hostJson: HostJson;
  connectionString: string;
  log: Logger;
}): Promise<Timers> {
  const targets = options.functions.filter(({ triggerType }) => triggerType === 'timerTrigger');
  const stopping = new AbortController();
  const timers = new Map<string, Timer>();
  if (targets.length > 0) {
    const { hubName } = options.hostJson.extensions.durableTask;
    const patience = createPatience(stopping.signal, options.log);
    const store = new TimerStore(options.connectionString, hubName, patience);
    await store.ensure();
    for (const target of targets) timers.set(target.name, new Timer(target, { ...options, store }));
    for (const timer of timers.values()) await timer.start();
  }
  return {
    runNow: (functionName) => timers.get(functionName)?.runNow(),
    async close() {
      const ended = Promise.all([...timers.values()].map((timer) => timer.close()));
      await Promise.race([ended, delay(closeTimeoutMs, undefined, { ref: false })]);
      stopping.abort();
    },
  };
}

/** One timer. Its runs never overlap: each waits for the one before, and the next is set after it. */
class Timer {
  readonly #target: LoadedFunction;
  readonly #invoke: Invoke;
  readonly #store: TimerStore;
  readonly #log: Logger;
  readonly #text: string;
  readonly #schedule: Schedule;
  readonly #runsOnStartup: boolean;
  readonly #isMonitored: boolean;
  #status: TimerStatus | undefined;
  #timeout: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(target: LoadedFunction, options: { invoke: Invoke; store: TimerStore; log: Logger }) {
    const trigger = TimerTrigger.parse(target.trigger);
    this.#target = target;
    this.#invoke = options.invoke;
    this.#store = options.store;
    this.#log = options.log;
    this.#text = resolveSettings(trigger.schedule);
    this.#schedule = parseSchedule(this.#text);
    this.#runsOnStartup = trigger.runOnStartup;
    const nextMs = this.#schedule.nextAfterMs(Date.now());
    const periodMs = this.#schedule.nextAfterMs(nextMs) - nextMs;
    this.#isMonitored = trigger.useMonitor && periodMs >= leastMonitoredMs;
  }

  /** Reads when the timer last ran, makes up for a run that was missed, and sets the next one. */
  async start(): Promise<void> {
    const stored = this.#isMonitored ? await this.#store.find(this.#target.name) : undefined;
    this.#status = stored?.schedule === this.#text ? stored : undefined;
    const isPastDue = this.#status !== undefined && Date.parse(this.#status.nextAt) <= Date.now();
    if (this.#status === undefined) await this.#write('');
    if (isPastDue || this.#runsOnStartup) this.#run(isPastDue);
    else this.#setNext(Date.parse(this.#status?.nextAt ?? '') || this.#schedule.nextAfterMs(Date.now()));
  }

  runNow(): void {
    this.#run(false);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timeout);
    await this.#running;
  }

  #setNext(nextMs: number): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timeout);
    const leftMs = nextMs - Date.now();
    this.#timeout = setTimeout(
      () => (Date.now() < nextMs ? this.#setNext(nextMs) : this.#run(false)),
      Math.min(Math.max(leftMs, 0), longestTimeoutMs),
    );
  }

  #run(isPastDue: boolean): void {
    this.#running = this.#running
      .then(() => this.#runOnce(isPastDue))
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#log('error', 'Host.Timers', describeError(error));
      });
  }

  async #runOnce(isPastDue: boolean): Promise<void> {
    if (this.#isClosed) return;
    const dueAt = new Date().toISOString();
    try {
      await this.#invoke(this.#target, { trigger: { string: JSON.stringify(this.#value(isPastDue)) } });
    } catch {
      // It is in the log; the next run is due all the same.
    }
    await this.#write(dueAt);
    this.#setNext(Date.parse(this.#status?.nextAt ?? ''));
  }

  async #write(lastAt: string): Promise<void> {
    const nowMs = Date.now();
    this.#status = {
      schedule: this.#text,
      lastAt,
      nextAt: new Date(this.#schedule.nextAfterMs(nowMs)).toISOString(),
      updatedAt: new Date(nowMs).toISOString(),
    };
    if (this.#isMonitored) await this.#store.put(this.#target.name, this.#status);
  }

  #value(isPastDue: boolean): object {
    const never = '0001-01-01T00:00:00+00:00';
    const status = this.#status;
    return {
      Schedule: { AdjustForDST: true },
      ScheduleStatus: this.#isMonitored
        ? {
            Last: status === undefined || status.lastAt === '' ? never : status.lastAt,
            LastUpdated: status?.updatedAt ?? never,
            Next: status?.nextAt ?? never,
          }
        : null,
      IsPastDue: isPastDue,
    };
  }
}
