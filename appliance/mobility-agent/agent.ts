import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError, type Fault } from '../../shared/fault.ts';
import {
  agentProtocol,
  AgentWork,
  type AgentDisk,
  type AgentMachine,
  type AgentReport,
} from '../../shared/wire/agent.ts';
import { backOff } from './back-off.ts';
import { Connection } from './connection.ts';
import { runCycle, sourcesOf, type AssignedItem } from './cycle.ts';
import type { DiskSource } from './disk-source.ts';
import type { AgentIdentity } from './identity.ts';
import { ImageFile } from './image-file.ts';
import { ItemState } from './item-state.ts';

const pollSeconds = 25;
const minuteMs = 60_000;

/** What the agent tells as it goes: for its log. */
export type AgentNotice =
  | { kind: 'connected' | 'stopped' }
  | { kind: 'point'; protectedItemId: string; pointSequence: number; seconds: number }
  | { kind: 'fault'; protectedItemId?: string; fault: Fault };

/**
 * A mobility agent at work: asks its process server what to replicate, makes points when they are due or asked for, and
 * goes on after every failure.
 */
export class MobilityAgent {
  readonly #connection: Connection;
  readonly #dataFolder: string;
  readonly #machine: AgentMachine;
  readonly #notice: (notice: AgentNotice) => void;
  readonly #stop = new AbortController();
  readonly #sources = new Map<string, DiskSource>();
  readonly #disks: AgentDisk[];
  readonly #states = new Map<string, ItemState>();
  readonly #faults = new Map<string, Fault>();
  #work: AgentWork = { version: '', items: [] };
  #wake: () => void = () => {};

  constructor(options: {
    identity: AgentIdentity;
    dataFolder: string;
    machine: AgentMachine;
    /** Disk id to path. */
    disks: ReadonlyMap<string, string>;
    notice: (notice: AgentNotice) => void;
  }) {
    this.#connection = new Connection(options.identity);
    this.#dataFolder = options.dataFolder;
    this.#machine = options.machine;
    this.#notice = options.notice;
    this.#disks = [...options.disks].map(([diskId, path]) => this.#open(diskId, path));
  }

  /** Runs until {@link stop}. */
  async run(): Promise<void> {
    await Promise.all([this.#pollForWork(), this.#replicate()]);
    this.#connection.close();
    await Promise.all([...this.#sources.values()].map((source) => source.close()));
    this.#notice({ kind: 'stopped' });
  }

  stop(): void {
    this.#stop.abort();
    this.#wake();
  }

  #open(diskId: string, path: string): AgentDisk {
    try {
      const source = new ImageFile(diskId, path);
      this.#sources.set(diskId, source);
      return { diskId, sizeBytes: source.sizeBytes };
    } catch (error) {
      const fault = faultOf(error);
      this.#notice({ kind: 'fault', fault });
      return { diskId, fault };
    }
  }

  async #pollForWork(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      try {
        const wait = failures === 0 ? pollSeconds : 0;
        const work = await this.#connection.post({
          path: `${agentProtocol.path}/work?waitSeconds=${wait}&known=${encodeURIComponent(this.#work.version)}`,
          body: this.#report(),
          answer: AgentWork,
          signal: this.#stop.signal,
        });
        if (failures > 0 || this.#work.version === '') this.#notice({ kind: 'connected' });
        failures = 0;
        this.#take(work);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        failures += 1;
        if (failures === 1) this.#notice({ kind: 'fault', fault: faultOf(error) });
        await backOff(failures, this.#stop.signal).catch(() => {}); // only a stop ends it early
      }
    }
  }

  #report(): AgentReport {
    return {
      machine: this.#machine,
      disks: this.#disks,
      items: this.#work.items.map(({ protectedItemId }) => {
        const fault = this.#faults.get(protectedItemId);
        return fault ? { protectedItemId, fault } : { protectedItemId };
      }),
    };
  }

  #take(work: AgentWork): void {
    this.#work = work;
    const wanted = new Set(work.items.map(({ protectedItemId }) => protectedItemId));
    for (const known of listItems(this.#dataFolder)) {
      if (wanted.has(known)) continue;
      this.#states.delete(known);
      this.#faults.delete(known);
      rmSync(join(this.#dataFolder, 'items', known), { recursive: true, force: true });
    }
    this.#wake();
  }

  /** One cycle at a time, whichever item's is due. */
  async #replicate(): Promise<void> {
    const failures = new Map<string, number>();
    while (!this.#stop.signal.aborted) {
      const due = this.#work.items.find((item) => this.#isDue(item));
      if (!due) {
        await this.#rest();
        continue;
      }
      const { protectedItemId } = due;
      try {
        await this.#cycle(due);
        failures.delete(protectedItemId);
        this.#faults.delete(protectedItemId);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        const attempt = (failures.get(protectedItemId) ?? 0) + 1;
        failures.set(protectedItemId, attempt);
        const fault = faultOf(error);
        this.#faults.set(protectedItemId, fault);
        if (attempt === 1) this.#notice({ kind: 'fault', protectedItemId, fault });
        await backOff(attempt, this.#stop.signal).catch(() => {}); // only a stop ends it early
      }
    }
  }

  async #cycle(item: AssignedItem): Promise<void> {
    const startedAtMs = Date.now();
    const { pointSequence } = await runCycle({
      connection: this.#connection,
      item,
      state: this.#stateOf(item),
      sources: sourcesOf(item, this.#sources),
      signal: this.#stop.signal,
    });
    const seconds = (Date.now() - startedAtMs) / 1_000;
    this.#notice({ kind: 'point', protectedItemId: item.protectedItemId, pointSequence, seconds });
  }

  /** Image files are quiescent, so a crash-consistent point is all there is to make: both schedules ask for it. */
  #isDue(item: AssignedItem): boolean {
    const state = this.#stateOf(item);
    const { crashConsistentMinutes, appConsistentMinutes, pointRequest } = item;
    const everyMinutes = Math.min(
      ...[crashConsistentMinutes, appConsistentMinutes].filter((minutes) => minutes > 0),
    );
    const isScheduled = Date.now() >= state.lastPointAtMs + everyMinutes * minuteMs;
    return (
      state.open !== undefined || state.basePoint === 0 || pointRequest > state.answeredRequest || isScheduled
    );
  }

  #stateOf({ protectedItemId }: AssignedItem): ItemState {
    const state = this.#states.get(protectedItemId) ?? new ItemState(this.#dataFolder, protectedItemId);
    this.#states.set(protectedItemId, state);
    return state;
  }

  async #rest(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([woken, delay(1_000, undefined, { signal: this.#stop.signal }).catch(() => {})]);
  }
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
  return {
    code: 'RemoteFailure',
    message:
      `The mobility agent failed inside: ${error instanceof Error ? error.message : 'no reason was told'}`.slice(
        0,
        4_000,
      ),
  };
}
