import { randomUUID, timingSafeEqual } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { mkdirSync, statfsSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MiB } from '../../shared/bytes.ts';
import { DomainError, type Fault } from '../../shared/fault.ts';
import type { FramePool } from '../../shared/replica/frame-pool.ts';
import type { ReplicaStore } from '../../shared/replica/replica-store.ts';
import type {
  AgentReport,
  AgentWork,
  CycleAnswer,
  CycleCommit,
  CycleProgress,
  CycleRequest,
} from '../../shared/wire/agent.ts';
import type { ItemProgress } from '../../shared/wire/check-in.ts';
import type { AgentRegistry } from './agent-registry.ts';
import type { AgentCalls, CycleRef } from './agent-server.ts';
import { assignedDisks } from './assigned-disks.ts';
import type { Assignment, ProcessServerEvent } from './contract.ts';
import { DataKeyBox } from './data-key.ts';
import { ExtentIntake } from './extent-intake.ts';
import { ItemLog, type LogLimits } from './item-log.ts';
import { ProgressBook } from './progress.ts';
import type { StoredItem, StoredPoint } from './spool-rows.ts';
import type { SpoolStore } from './spool-store.ts';
import { Uploader } from './uploader.ts';

/** The cache disk keeps this much free, whatever the spool's limit. */
const reserveBytes = 256 * MiB;
const movementEveryMs = 500;

interface ItemBoardOptions {
  store: SpoolStore;
  agents: AgentRegistry;
  pool: FramePool;
  dataFolder: string;
  spoolLimitBytes: number;
  limits: LogLimits;
  replicaOf: (protectedItemId: string) => Promise<ReplicaStore>;
  onEvent: (event: ProcessServerEvent) => void;
  onBug: (error: unknown) => void;
}

/** The items of a process server: what agents may do with them, and what becomes of it. */
export class ItemBoard implements AgentCalls {
  readonly #options: ItemBoardOptions;
  readonly #logs = new Map<string, ItemLog>();
  readonly #keys: DataKeyBox;
  readonly #intake = new ExtentIntake();
  readonly #progress: ProgressBook;
  readonly #uploader: Uploader;
  readonly #toldAtMs = new Map<string, number>();
  readonly #wakers = new Set<() => void>();
  readonly #pointListeners = new Set<(protectedItemId: string, point: StoredPoint | undefined) => void>();
  #version = randomUUID();

  constructor(options: ItemBoardOptions) {
    this.#options = options;
    options.agents.onWish(() => this.#changed());
    this.#keys = new DataKeyBox(join(options.dataFolder, 'data-keys.key'));
    this.#progress = new ProgressBook(options.store);
    this.#uploader = new Uploader({
      store: options.store,
      logs: this.#logs,
      replicaOf: options.replicaOf,
      onUploaded: (protectedItemId) => this.#tellMovement(protectedItemId),
      onBug: options.onBug,
      onPoint: (protectedItemId, point) => this.#tellPoint(protectedItemId, point),
      onLink: (protectedItemId, failure) => {
        this.#progress.setLink(protectedItemId, failure);
        this.#tellProgress(protectedItemId);
      },
    });
  }

  /** After a start: finishes what was begun, and tells again of what nobody confirmed. */
  async recover(): Promise<void> {
    mkdirSync(this.#spoolFolder, { recursive: true, mode: 0o700 });
    for (const item of this.#options.store.items()) {
      await this.#open(item).recover();
      for (const point of this.#options.store.unconfirmedPoints(item.protectedItemId)) {
        this.#tellPoint(item.protectedItemId, point);
      }
    }
    this.#uploader.poke();
  }

  /** @throws DomainError Conflict when the item is known with another data key, or a disk by another number */
  async assign(assignment: Assignment): Promise<void> {
    const { dataKey, ...item } = assignment;
    const { protectedItemId } = item;
    const { store } = this.#options;
    const known = this.#logs.get(protectedItemId);
    if (known && !equalKeys(known.dataKey, dataKey)) throw changed(item.machineName);
    const disks = assignedDisks(known?.item.disks ?? [], item.disks);
    const sealedDataKey = this.#keys.seal(dataKey, protectedItemId);
    store.putItem({ ...item, disks, biosUuid: item.biosUuid.toLowerCase(), sealedDataKey });
    const stored = store.findItem(protectedItemId);
    if (stored && known) known.update(stored);
    else if (stored) this.#open(stored);
    await store.durable();
    this.#changed();
  }

  async unassign(protectedItemId: string): Promise<void> {
    const log = this.#logs.get(protectedItemId);
    this.#logs.delete(protectedItemId);
    this.#changed();
    await log?.close();
    this.#options.store.removeItem(protectedItemId);
    this.#progress.forget(protectedItemId);
    this.#toldAtMs.delete(protectedItemId);
    for (const listener of this.#pointListeners) listener(protectedItemId, undefined);
    await this.#options.store.durable();
    await rm(join(this.#spoolFolder, protectedItemId), { recursive: true, force: true });
  }

  createPoint(protectedItemId: string, signal: AbortSignal): Promise<{ pointSequence: number }> {
    const log = this.#require(protectedItemId);
    signal.throwIfAborted();
    const wanted = this.#options.store.requestPoint(protectedItemId);
    log.update({ ...log.item, pointRequest: wanted });
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#pointListeners.delete(listener);
        signal.removeEventListener('abort', abort);
      };
      const listener = (itemId: string, point: StoredPoint | undefined): void => {
        if (itemId !== protectedItemId || (point && point.pointRequest < wanted)) return;
        done();
        if (point) resolve({ pointSequence: point.sequence });
        else reject(notReplicated(protectedItemId));
      };
      const abort = (): void => {
        done();
        reject(signal.reason instanceof Error ? signal.reason : new Error('Stopped waiting for the point.'));
      };
      this.#pointListeners.add(listener);
      signal.addEventListener('abort', abort, { once: true });
      this.#changed();
    });
  }

  /** Has the agent compare the item's disks in whole, as soon as it can. */
  async resynchronize(protectedItemId: string): Promise<{ resyncRequest: number }> {
    const log = this.#require(protectedItemId);
    const { store } = this.#options;
    const resyncRequest = store.requestResync(protectedItemId, Date.now());
    log.reload();
    await store.durable();
    this.#changed();
    this.#tellProgress(protectedItemId);
    return { resyncRequest };
  }

  progress(): ItemProgress[] {
    return [...this.#logs.values()].map(({ item }) => this.#progress.of(item));
  }

  health(): { pendingUploadBytes: number; uploadBytesPerSecond: number; replicatingMachines: number } {
    return {
      pendingUploadBytes: this.#options.store.pendingUploadBytes(),
      uploadBytesPerSecond: this.#uploader.bytesPerSecond(),
      replicatingMachines: new Set([...this.#logs.values()].map(({ item }) => item.biosUuid)).size,
    };
  }

  async work(
    biosUuid: string,
    report: AgentReport,
    address: string,
    wait: { seconds: number; known: string; signal: AbortSignal },
  ): Promise<AgentWork> {
    this.#options.agents.heard(biosUuid, report, address);
    for (const { protectedItemId, fault } of report.items) this.#tellFault(protectedItemId, biosUuid, fault);
    if (wait.known === this.#version) await this.#waitForChange(wait);
    return {
      version: this.#version,
      wantedDisks: this.#options.agents.wanted(biosUuid),
      items: [...this.#logs.values()]
        .filter(({ item }) => item.biosUuid === biosUuid)
        .map(({ item }) => ({
          protectedItemId: item.protectedItemId,
          disks: item.disks,
          crashConsistentMinutes: item.schedule.crashConsistentMinutes,
          appConsistentMinutes: item.schedule.appConsistentMinutes,
          lastPoint: this.#options.store.lastPoint(item.protectedItemId),
          pointRequest: item.pointRequest,
          resyncRequest: item.resync.asked,
        })),
    };
  }

  async begin(biosUuid: string, protectedItemId: string, request: CycleRequest): Promise<CycleAnswer> {
    const log = this.#requireOf(biosUuid, protectedItemId);
    await log.ensureSound();
    const answer = await log.begin(request);
    this.#tellProgress(protectedItemId);
    return answer;
  }

  async extents(
    { biosUuid, protectedItemId, cycleId }: CycleRef,
    body: IncomingMessage,
    progress: CycleProgress,
  ): Promise<number> {
    const log = this.#requireOf(biosUuid, protectedItemId);
    log.requireOpen(cycleId);
    this.#refuseWhenFull();
    await log.ensureSound();
    const count = await this.#intake.take(log, cycleId, body);
    this.#progress.heard(protectedItemId, cycleId, progress);
    this.#tellMovement(protectedItemId);
    return count;
  }

  async commit({ biosUuid, protectedItemId, cycleId }: CycleRef, commit: CycleCommit): Promise<number> {
    const log = this.#requireOf(biosUuid, protectedItemId);
    await log.ensureSound();
    const sequence = await log.commit(cycleId, commit);
    this.#uploader.poke();
    this.#tellProgress(protectedItemId);
    return sequence;
  }

  async close(): Promise<void> {
    this.#changed();
    await Promise.all([...this.#logs.values()].map((log) => log.close()));
    await this.#uploader.close();
  }

  get #spoolFolder(): string {
    return join(this.#options.dataFolder, 'spool');
  }

  #open(item: StoredItem): ItemLog {
    const log = new ItemLog({
      item,
      dataKey: this.#keys.open(item.sealedDataKey, item.protectedItemId),
      spoolFolder: this.#spoolFolder,
      store: this.#options.store,
      pool: this.#options.pool,
      limits: this.#options.limits,
      onSealed: () => this.#uploader.poke(),
      onLoss: () => {
        this.#changed();
        this.#tellProgress(item.protectedItemId);
        this.#uploader.poke();
      },
    });
    this.#logs.set(item.protectedItemId, log);
    return log;
  }

  #require(protectedItemId: string): ItemLog {
    const log = this.#logs.get(protectedItemId);
    if (log) return log;
    throw notReplicated(protectedItemId);
  }

  /** An item of another machine is as unknown to the agent as one that is not there. */
  #requireOf(biosUuid: string, protectedItemId: string): ItemLog {
    const log = this.#require(protectedItemId);
    if (log.item.biosUuid === biosUuid) return log;
    throw notReplicated(protectedItemId);
  }

  #refuseWhenFull(): void {
    const { bsize, bavail } = statfsSync(this.#spoolFolder);
    const spooled = this.#options.store.pendingUploadBytes();
    if (spooled < this.#options.spoolLimitBytes && bsize * bavail > reserveBytes) return;
    throw new DomainError({
      code: 'Unavailable',
      message: `The cache disk of the process server is full: ${spooled} bytes wait for their upload.`,
      recommendedAction:
        'Nothing is lost: agents wait. Check the link to Azure, or give the cache disk more room.',
    });
  }

  #waitForChange(wait: { seconds: number; signal: AbortSignal }): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake);
        resolve();
      };
      this.#wakers.add(wake);
      delay(wait.seconds * 1_000, undefined, { signal: wait.signal, ref: false }).then(wake, wake);
    });
  }

  #changed(): void {
    this.#version = randomUUID();
    for (const wake of this.#wakers) wake();
  }

  #tellFault(protectedItemId: string, biosUuid: string, fault: Fault | undefined): void {
    if (this.#logs.get(protectedItemId)?.item.biosUuid !== biosUuid) return;
    this.#progress.setFault(protectedItemId, fault);
    this.#tellProgress(protectedItemId);
  }

  /** Bytes came or went: worth telling now and then. */
  #tellMovement(protectedItemId: string): void {
    if ((this.#toldAtMs.get(protectedItemId) ?? 0) + movementEveryMs > Date.now()) return;
    this.#tellProgress(protectedItemId);
  }

  #tellProgress(protectedItemId: string): void {
    this.#toldAtMs.set(protectedItemId, Date.now());
    const log = this.#logs.get(protectedItemId);
    if (log) this.#options.onEvent({ kind: 'progress', item: this.#progress.of(log.item) });
  }

  #tellPoint(protectedItemId: string, point: StoredPoint): void {
    const { sequence, changedBytes, uploadedBytes } = point;
    this.#options.onEvent({
      kind: 'point',
      point: { kind: 'recoveryPoint', protectedItemId, sequence, changedBytes, uploadedBytes },
    });
    this.#tellProgress(protectedItemId);
    for (const listener of this.#pointListeners) listener(protectedItemId, point);
  }
}

function equalKeys(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function changed(machineName: string): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: `${machineName} is replicated already, with another data key.`,
    recommendedAction: 'Disable its replication, then enable it again.',
  });
}

function notReplicated(protectedItemId: string): DomainError {
  return new DomainError({
    code: 'ResourceNotFound',
    message: `The process server replicates no item ${protectedItemId} of this machine.`,
  });
}
