import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError, type Fault } from '../../shared/fault.ts';
import {
  AgentDisk,
  agentProtocol,
  AgentWork,
  type AgentMachine,
  type AgentReport,
} from '../../shared/wire/agent.ts';
import { backOff, backOffMs } from './back-off.ts';
import { Connection } from './connection.ts';
import { runCycle, sourcesOf, type AssignedItem, type MadePoint } from './cycle.ts';
import { AgentDisks, type DiskChoice, type OpenDisks } from './disks.ts';
import type { AgentIdentity } from './identity.ts';
import { ItemState } from './item-state.ts';
import type { LivePolicy } from './live-cycle.ts';
import type { ItemStanding } from './status.ts';

const pollSeconds = 25;
const minuteMs = 60_000;
const longestRestMs = 60_000;

/** What the agent tells as it goes: for its log. */
export type AgentNotice =
  | { kind: 'connected' }
  | ({ kind: 'point'; protectedItemId: string; seconds: number } & MadePoint)
  /** It stands still; with an item, that one does. */
  | { kind: 'fault'; protectedItemId?: string; fault: Fault }
  | { kind: 'recovered'; protectedItemId: string };

interface MobilityAgentOptions {
  identity: AgentIdentity;
  dataFolder: string;
  machine: AgentMachine;
  disks: DiskChoice;
  /** How points of block devices in use are made. */
  live: LivePolicy;
  notice: (notice: AgentNotice) => void;
}

/** A cycle under way, and how to stop it. */
interface RunningCycle {
  protectedItemId: string;
  stop: AbortController;
  processedBytes: number;
}

/**
 * A mobility agent at work: asks its process server what to replicate, makes points when they are due or asked for, and
 * goes on after every failure.
 */
export class MobilityAgent {
  readonly #connection: Connection;
  readonly #options: MobilityAgentOptions;
  readonly #stop = new AbortController();
  readonly #states = new Map<string, ItemState>();
  readonly #faults = new Map<string, Fault>();
  readonly #retries = new Map<string, { failures: number; atMs: number }>();
  /** Items of which the process server knows another last point than the agent: the next cycle finds out. */
  readonly #doubted = new Set<string>();
  readonly #disks: AgentDisks;
  /** When applications were last prepared for a point, or that was tried. */
  readonly #hooksRanAtMs = new Map<string, number>();
  /** What there is to tell once nothing is frozen any more. */
  #untold: AgentNotice[] | undefined;
  /** What the last point of devices in use took, by item. */
  readonly #live = new Map<string, NonNullable<MadePoint['live']>>();
  #work: AgentWork = { version: '', items: [] };
  #running: RunningCycle | undefined;
  #serverFault: Fault | undefined;
  #connectedAtMs: number | undefined;
  #poll = new AbortController();
  #wake: () => void = () => {};

  constructor(options: MobilityAgentOptions) {
    this.#options = options;
    this.#connection = new Connection(options.identity);
    this.#disks = new AgentDisks(options.disks);
  }

  /** Runs until {@link stop}. */
  async run(): Promise<void> {
    await Promise.all([this.#pollForWork(), this.#replicate()]);
    this.#connection.close();
    await this.#disks.close();
  }

  stop(): void {
    this.#stop.abort(new Error('The mobility agent was stopped.'));
    this.#wake();
  }

  /** File systems are frozen: who writes to one now waits for ever, and the freeze with it. */
  get isFrozen(): boolean {
    return this.#untold !== undefined;
  }

  /** How everything stands now. */
  status(): {
    serverFault: Fault | undefined;
    connectedAtMs: number | undefined;
    disks: OpenDisks['reports'];
    items: ItemStanding[];
  } {
    return {
      serverFault: this.#serverFault,
      connectedAtMs: this.#connectedAtMs,
      disks: this.#disks.look().reports,
      items: this.#work.items.map((item) => this.#standingOf(item)),
    };
  }

  #standingOf(item: AssignedItem): ItemStanding {
    const { protectedItemId, disks } = item;
    const { known } = this.#stateOf(protectedItemId);
    const running = this.#running?.protectedItemId === protectedItemId ? this.#running : undefined;
    const fault = this.#faults.get(protectedItemId);
    const live = this.#live.get(protectedItemId);
    const totalBytes = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return {
      protectedItemId,
      points: known.points,
      ...(known.basePoint > 0 ? { lastPoint: known.basePoint, lastPointAtMs: known.lastPointAtMs } : {}),
      ...(running ? { cycle: { processedBytes: running.processedBytes, totalBytes } } : {}),
      ...(live ? { live } : {}),
      ...(fault ? { fault } : {}),
    };
  }

  async #pollForWork(): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted;) {
      this.#poll = new AbortController();
      try {
        const wait = failures === 0 ? pollSeconds : 0;
        const work = await this.#connection.post({
          path: `${agentProtocol.path}/work?waitSeconds=${wait}&known=${encodeURIComponent(this.#work.version)}`,
          body: this.#report(),
          answer: AgentWork,
          signal: AbortSignal.any([this.#stop.signal, this.#poll.signal]),
        });
        const isNews = failures > 0 || this.#work.version === '';
        failures = 0;
        this.#serverFault = undefined;
        if (isNews) {
          this.#connectedAtMs = Date.now();
          this.#tell({ kind: 'connected' });
        }
        this.#take(work);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (this.#poll.signal.aborted) continue; // there is news to tell
        failures += 1;
        this.#serverFault = faultOf(error);
        if (failures === 1) this.#tell({ kind: 'fault', fault: this.#serverFault });
        await backOff(failures, this.#stop.signal).catch(() => {}); // only a stop ends it early
      }
    }
  }

  #report(): AgentReport {
    return {
      machine: this.#options.machine,
      disks: this.#disks.look().reports.map((disk) => AgentDisk.parse(disk)),
      looksForDisks: this.#disks.looks,
      items: this.#work.items.map(({ protectedItemId }) => {
        const fault = this.#faults.get(protectedItemId);
        return fault ? { protectedItemId, fault } : { protectedItemId };
      }),
    };
  }

  #take(work: AgentWork): void {
    this.#work = work;
    this.#disks.want([...(work.wantedDisks ?? []), ...work.items.flatMap(({ disks }) => disks)]);
    const running = this.#running;
    const isWanted = work.items.some(({ protectedItemId }) => protectedItemId === running?.protectedItemId);
    if (running && !isWanted) running.stop.abort(new Error('The item is no longer to be replicated.'));
    for (const { protectedItemId, lastPoint } of work.items) {
      // A state that is not known yet makes its folder: that waits until nothing is frozen. It is due anyway.
      if (this.isFrozen && !this.#states.has(protectedItemId)) continue;
      const { open, basePoint } = this.#stateOf(protectedItemId).known;
      if (!open && basePoint !== lastPoint) this.#doubted.add(protectedItemId);
    }
    this.#wake();
  }

  /** One cycle at a time, of the item that waits longest. */
  async #replicate(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#forgetOthers();
      const now = Date.now();
      const due = this.#work.items
        .map((item) => ({ item, atMs: this.#dueAtMs(item) }))
        .toSorted((one, other) => one.atMs - other.atMs)[0];
      if (due && due.atMs <= now) await this.#attempt(due.item);
      else await this.#rest(Math.min(longestRestMs, (due?.atMs ?? Infinity) - now));
    }
  }

  async #attempt(item: AssignedItem): Promise<void> {
    const { protectedItemId } = item;
    const stop = new AbortController();
    this.#running = { protectedItemId, stop, processedBytes: 0 };
    try {
      await this.#cycle(item, AbortSignal.any([this.#stop.signal, stop.signal]));
      this.#retries.delete(protectedItemId);
      this.#doubted.delete(protectedItemId);
      this.#setFault(protectedItemId, undefined);
    } catch (error) {
      if (this.#stop.signal.aborted || stop.signal.aborted) return;
      const failures = (this.#retries.get(protectedItemId)?.failures ?? 0) + 1;
      this.#retries.set(protectedItemId, { failures, atMs: Date.now() + backOffMs(failures) });
      this.#setFault(protectedItemId, faultOf(error));
    } finally {
      this.#running = undefined;
    }
  }

  async #cycle(item: AssignedItem, signal: AbortSignal): Promise<void> {
    const { protectedItemId } = item;
    const startedAtMs = Date.now();
    const point = await runCycle({
      connection: this.#connection,
      item,
      state: this.#stateOf(protectedItemId),
      sources: sourcesOf(item, this.#disks.look()),
      live: this.#livePolicy(item),
      onFrozen: (isFrozen) => this.#setFrozen(isFrozen),
      onProgress: ({ disks }) => {
        const processedBytes = disks.reduce((sum, disk) => sum + disk.processedBytes, 0);
        if (this.#running) this.#running.processedBytes = processedBytes;
      },
      onStall: (fault) => this.#setFault(protectedItemId, fault),
      signal,
    });
    const seconds = (Date.now() - startedAtMs) / 1_000;
    if (point.live) this.#live.set(protectedItemId, point.live);
    this.#tell({ kind: 'point', protectedItemId, seconds, ...point });
  }

  /** Applications are prepared as often as the policy says; the points between are crash-consistent. */
  #livePolicy({ protectedItemId, appConsistentMinutes }: AssignedItem): LivePolicy {
    const { live } = this.#options;
    const dueAtMs = (this.#hooksRanAtMs.get(protectedItemId) ?? 0) + appConsistentMinutes * minuteMs;
    if (appConsistentMinutes === 0 || Date.now() < dueAtMs) return { ...live, hooks: undefined };
    this.#hooksRanAtMs.set(protectedItemId, Date.now());
    return live;
  }

  #setFrozen(isFrozen: boolean): void {
    const untold = this.#untold ?? [];
    this.#untold = isFrozen ? untold : undefined;
    if (!isFrozen) for (const notice of untold) this.#options.notice(notice);
  }

  /** Keeps the notice while file systems are frozen: the log may lie on one. */
  #tell(notice: AgentNotice): void {
    if (this.#untold) this.#untold.push(notice);
    else this.#options.notice(notice);
  }

  /** Told to the process server at once: the poll that is under way is asked again with it. */
  #setFault(protectedItemId: string, fault: Fault | undefined): void {
    const before = this.#faults.get(protectedItemId);
    if (before?.code === fault?.code && before?.message === fault?.message) return;
    if (fault) this.#faults.set(protectedItemId, fault);
    else this.#faults.delete(protectedItemId);
    this.#tell(fault ? { kind: 'fault', protectedItemId, fault } : { kind: 'recovered', protectedItemId });
    this.#poll.abort();
  }

  /** Both schedules ask for a point; whether applications are prepared for it is decided when it is made. */
  #dueAtMs(item: AssignedItem): number {
    const { known } = this.#stateOf(item.protectedItemId);
    const { crashConsistentMinutes, appConsistentMinutes, pointRequest, resyncRequest } = item;
    const everyMinutes = Math.min(
      ...[crashConsistentMinutes, appConsistentMinutes].filter((minutes) => minutes > 0),
    );
    const isAsked = pointRequest > known.answeredRequest || resyncRequest > known.answeredResync;
    const isDoubted = this.#doubted.has(item.protectedItemId) || hasOtherDisks(item, known);
    const isDue = known.open !== undefined || known.basePoint === 0 || isAsked || isDoubted;
    const scheduledAtMs = isDue ? 0 : known.lastPointAtMs + everyMinutes * minuteMs;
    return Math.max(scheduledAtMs, this.#retries.get(item.protectedItemId)?.atMs ?? 0);
  }

  #stateOf(protectedItemId: string): ItemState {
    const state =
      this.#states.get(protectedItemId) ?? new ItemState(this.#options.dataFolder, protectedItemId);
    this.#states.set(protectedItemId, state);
    return state;
  }

  /** Deletes what is known of items that are not this agent's any more. */
  #forgetOthers(): void {
    if (this.#work.version === '') return; // the process server was not heard yet
    const wanted = new Set(this.#work.items.map(({ protectedItemId }) => protectedItemId));
    for (const known of listItems(this.#options.dataFolder)) {
      if (wanted.has(known)) continue;
      this.#states.delete(known);
      this.#doubted.delete(known);
      this.#faults.delete(known);
      this.#retries.delete(known);
      rmSync(join(this.#options.dataFolder, 'items', known), { recursive: true, force: true });
    }
  }

  async #rest(forMs: number): Promise<void> {
    const rested = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const pause = delay(Math.max(forMs, 0), undefined, { signal: rested.signal }).catch(() => {});
    if (!this.#stop.signal.aborted) await Promise.race([woken, pause]);
    rested.abort();
  }
}

/** A disk came or went since the last point. */
function hasOtherDisks(item: AssignedItem, { baseDisks }: ItemState['known']): boolean {
  return (
    item.disks.map(({ diskId }) => diskId).join('\n') !== baseDisks.map(({ diskId }) => diskId).join('\n')
  );
}

function listItems(dataFolder: string): string[] {
  try {
    return readdirSync(join(dataFolder, 'items'));
  } catch {
    return []; // nothing was ever assigned
  }
}

function faultOf(error: unknown): Fault {
  if (error instanceof DomainError) return error.fault;
  const reason = error instanceof Error ? error.message : 'no reason was told';
  return {
    code: 'RemoteFailure',
    message: `The mobility agent failed inside: ${reason}`.slice(0, 4_000),
  };
}
