import { readdirSync, rmSync, statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import type { FramePool } from '../../shared/replica/frame-pool.ts';
import { free } from '../../shared/replica/free.ts';
import { sealZeroFrame, type ExtentPlace, type FrameSlot } from '../../shared/replica/frame.ts';
import { recoverSegment } from '../../shared/replica/recover-segment.ts';
import { ReplicaError } from '../../shared/replica/replica-error.ts';
import { openFileSink } from '../../shared/replica/segment-sink.ts';
import { SegmentWriter, type SealedSegment } from '../../shared/replica/segment-writer.ts';
import { syncFolder } from '../../shared/sync-folder.ts';
import type { CycleAnswer, CycleCommit, CycleRequest } from '../../shared/wire/agent.ts';
import { cycleDisks, requireDisksOf } from './assigned-disks.ts';
import type { ReceivedExtent } from './extent-parser.ts';
import { lostSince, spoolFailed, stopping } from './spool-faults.ts';
import type { Place } from './spool-losses.ts';
import type { OpenCycle, StoredItem } from './spool-rows.ts';
import type { SpoolStore } from './spool-store.ts';

/** Frames of one segment; each costs an index entry. */
const framesAtMost = 100_000;

/** How a cycle is cut into segments and points. */
export interface LogLimits {
  /** A segment is closed when it has this much. Cycles with many segments get larger ones, three times this at most. */
  segmentBytes: number;
  /** A manifest takes 32,768. A longer cycle is saved by points that are told to be of no one moment. */
  segmentsPerPoint: number;
}

/** DESIGN: segments of 8 to 16 MiB. */
export const usualLimits: LogLimits = { segmentBytes: 12 * MiB, segmentsPerPoint: 30_000 };

/** A segment that is being written. */
export interface SpoolSegment {
  readonly sequence: number;
  readonly writer: SegmentWriter;
  /** It is closed when it has this much. */
  readonly targetBytes: number;
  /** Source bytes of the frames that are still being sealed for it, and of those that are in it. */
  sealingBytes: number;
  sealedBytes: number;
  /** Extents that were given to it and are not yet appended. */
  pending: number;
  /** Called when nothing is pending any more. */
  onIdle: (() => void) | undefined;
  /** Set once it takes no more; resolves when it is sealed and durable. */
  sealed: Promise<void> | undefined;
}

interface ItemLogOptions {
  item: StoredItem;
  dataKey: Uint8Array;
  spoolFolder: string;
  store: SpoolStore;
  pool: FramePool;
  limits: LogLimits;
  onSealed: () => void;
  /** What was acknowledged is no longer there: the agent is to send it again. */
  onLoss: () => void;
}

/**
 * Writes one item's segments into the spool. Everything that changes which cycle or segment is open happens in turn,
 * in the order of the calls; sealing and writing of extents runs beside it.
 */
export class ItemLog {
  readonly #options: ItemLogOptions;
  readonly #folder: string;
  #item: StoredItem;
  #cycle: OpenCycle | undefined;
  #open: SpoolSegment | undefined;
  readonly #closing = new Set<Promise<void>>();
  #lastTurn: Promise<unknown> = Promise.resolve();
  /** A write that failed: nothing more is taken until what was written is recovered. */
  #failure: { error: unknown } | undefined;
  #isClosed = false;

  constructor(options: ItemLogOptions) {
    this.#options = options;
    this.#item = options.item;
    this.#folder = join(options.spoolFolder, options.item.protectedItemId);
    this.#cycle = options.store.findCycle(options.item.protectedItemId);
  }

  get item(): Readonly<StoredItem> {
    return this.#item;
  }

  get dataKey(): Uint8Array {
    return this.#options.dataKey;
  }

  pathOf(sequence: number): string {
    return join(this.#folder, `${sequence}.seg`);
  }

  /** Takes over what may change while an item is replicated; its key may not. */
  update(item: StoredItem): void {
    this.#item = item;
  }

  /** After a start: seals what was left unfinished. Everything acknowledged is in it. */
  recover(): Promise<void> {
    return this.#inTurn(() => this.#recover());
  }

  /** After a failed write: recovers what was written, so that more can be taken. */
  ensureSound(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#failure) await this.#recover();
    });
  }

  /**
   * Begins a cycle, or finds the one that the agent speaks of.
   *
   * @throws DomainError Conflict when it is of other disks than those assigned, NotSupported when one has shrunk
   */
  begin(request: CycleRequest): Promise<CycleAnswer> {
    return this.#inTurn(async () => {
      const { store } = this.#options;
      const { protectedItemId } = this.#item;
      const committed = store.findPointOfCycle(protectedItemId, request.cycleId);
      if (committed) {
        await store.durable();
        return { state: 'committed', pointSequence: committed.sequence };
      }
      const lastPoint = store.lastPoint(protectedItemId);
      if (this.#cycle?.cycleId === request.cycleId) {
        requireDisksOf(this.#cycle.disks, request.disks);
        return this.#opened(this.#cycle, lastPoint);
      }
      if (request.resumes) return { state: 'unknownCycle' };
      const disks = cycleDisks(this.#item.disks, request.disks);
      if (!this.#isBase(request, lastPoint)) return { state: 'baseMismatch', lastPoint };
      if (this.#cycle) await this.#dropCycle(this.#cycle.cycleId);
      const { cycleId, basePoint, resyncRequest: resync } = request;
      const cycle = { cycleId, basePoint, startedAtMs: Date.now(), disks, resync, repairs: 0 };
      store.beginCycle(protectedItemId, cycle);
      if (disks.some(({ sizeBytes }, at) => sizeBytes !== this.#item.disks[at]?.sizeBytes)) {
        store.putDisks(protectedItemId, disks);
        this.reload();
      }
      return this.#opened(cycle, lastPoint);
    });
  }

  /** @throws DomainError Conflict when the cycle is not the open one */
  requireOpen(cycleId: string): OpenCycle {
    if (this.#cycle?.cycleId === cycleId) return this.#cycle;
    throw new DomainError({
      code: 'Conflict',
      message: `The cycle ${cycleId} is not open at the process server.`,
      recommendedAction: 'The agent begins it anew by itself.',
    });
  }

  /** Seals an extent and appends it. Resolves when it is written; `sync` makes it durable. Of overlapping ones the later call counts. */
  async take(cycleId: string, extent: ReceivedExtent, place: Place): Promise<SpoolSegment> {
    const bytes = extent.data?.length ?? 0;
    const segment = await this.#inTurn(() => this.#admit(cycleId, bytes));
    try {
      await this.#append(segment.writer, extent, place);
      segment.sealedBytes += bytes;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      segment.sealingBytes -= bytes;
      segment.pending -= 1;
      if (segment.pending === 0) segment.onIdle?.();
    }
    return segment;
  }

  /**
   * Makes durable what was taken into these segments, and which extents that is.
   *
   * @throws DomainError Conflict when one of the segments was given up meanwhile
   */
  async sync(taken: ReadonlyMap<SpoolSegment, readonly Place[]>): Promise<void> {
    const { losses } = this.#options.store;
    const { protectedItemId } = this.#item;
    const segments = [...taken.keys()].map((segment) => ({ segment, sizeBytes: segment.writer.sizeBytes }));
    let isKept = true;
    try {
      for (const { segment, sizeBytes } of segments) {
        const { sequence } = segment;
        isKept &&= losses.note({ protectedItemId, sequence }, taken.get(segment) ?? [], sizeBytes);
      }
      await Promise.all([
        this.#options.store.durable(), // that these segments are there, and their notes
        ...segments.map(({ segment }) => segment.sealed ?? segment.writer.sync()),
      ]);
    } catch (error) {
      throw this.#failed(error);
    }
    if (!isKept) throw lostSince();
    for (const { segment, sizeBytes } of segments)
      losses.acknowledged(protectedItemId, segment.sequence, sizeBytes);
  }

  /**
   * Ends the cycle: everything taken is sealed, and the next point is decided.
   *
   * @throws DomainError Conflict when the cycle is not open, or the cache disk lost a part that the agent was not told of
   */
  commit(cycleId: string, commit: CycleCommit): Promise<number> {
    return this.#inTurn(async () => {
      const { store } = this.#options;
      const { protectedItemId } = this.#item;
      const committed = store.findPointOfCycle(protectedItemId, cycleId);
      if (committed) {
        await store.durable(); // the answer that did not arrive may have been that it is not
        return committed.sequence;
      }
      const cycle = this.requireOpen(cycleId);
      await this.#closeSegment();
      this.#refuseAfterFailure();
      if (store.losses.newest(protectedItemId) > cycle.repairs) throw lostSince();
      const sequence = store.commitCycle(protectedItemId, cycle, commit);
      this.reload();
      this.#cycle = undefined;
      await store.durable();
      return sequence;
    });
  }

  /** A sealed segment's file is not what it was: what it had is to be sent again. Nothing, when it is gone already. */
  lose(sequence: number): Promise<void> {
    return this.#inTurn(async () => {
      this.#lose(sequence, true);
      await this.#options.store.durable(); // else a crash could leave a row without its file
      await rm(this.pathOf(sequence), { force: true });
    });
  }

  /** Takes over what the store knows of the item by now. */
  reload(): void {
    this.#item = this.#options.store.findItem(this.#item.protectedItemId) ?? this.#item;
  }

  #lose(sequence: number, told: boolean): void {
    const { store, onLoss } = this.#options;
    const { protectedItemId } = this.#item;
    store.losses.lose({ protectedItemId, sequence }, { told, atMs: Date.now() });
    this.reload();
    onLoss();
  }

  #opened(cycle: OpenCycle, lastPoint: number): CycleAnswer {
    const { losses } = this.#options.store;
    const { protectedItemId } = this.#item;
    const { lossId, ranges } = losses.listOf(protectedItemId, cycle.disks);
    losses.told(protectedItemId, lossId);
    this.#cycle = { ...cycle, repairs: lossId };
    return { state: 'open', lastPoint, lost: ranges };
  }

  /** Takes nothing more, and seals what is open, so that a stop leaves nothing to recover. */
  close(): Promise<void> {
    this.#isClosed = true;
    return this.#inTurn(() => this.#closeSegment());
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(work);
    this.#lastTurn = turn.catch(() => {}); // its caller hears of it; the next turn comes all the same
    return turn;
  }

  async #recover(): Promise<void> {
    const { store, onSealed } = this.#options;
    const { protectedItemId } = this.#item;
    await this.#closeSegment(); // after a failure this leaves the files as they are
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      for (const sequence of store.unsealedSegments(protectedItemId)) await this.#recoverSegment(sequence);
      for (const { segment } of store.pendingSegments(protectedItemId)) {
        const file = statSync(this.pathOf(segment.sequence), { throwIfNoEntry: false });
        if (file?.size !== segment.sizeBytes) this.#lose(segment.sequence, true);
      }
      await store.durable();
      this.#removeStrays();
    } catch (error) {
      throw this.#failed(error);
    }
    this.#failure = undefined;
    onSealed();
  }

  /** Files that a crash left behind when their segments were already dropped or uploaded. */
  #removeStrays(): void {
    const kept = new Set(this.#options.store.spooledSegments(this.#item.protectedItemId));
    for (const name of readdirSync(this.#folder)) {
      if (!kept.has(Number(name.replace('.seg', '')))) rmSync(join(this.#folder, name));
    }
  }

  /** Seals what is there of an unfinished segment; where that is less than was acknowledged, gives it up. */
  async #recoverSegment(sequence: number): Promise<void> {
    const { store } = this.#options;
    const { protectedItemId } = this.#item;
    const { acknowledgedBytes, notedBytes } = store.losses.boundsOf(protectedItemId, sequence);
    const found = await this.#findWhole(sequence, acknowledgedBytes);
    if (found === 'damaged' || found.wholeBytes < notedBytes) {
      // Between the two bounds an answer was under way when the power went: perhaps the agent has it, perhaps not.
      this.#lose(sequence, found === 'damaged');
    } else if (found.segment) store.sealSegment(protectedItemId, found.segment);
    else store.dropSegment(protectedItemId, sequence);
  }

  async #findWhole(
    sequence: number,
    acknowledgedBytes: number,
  ): Promise<{ segment: SealedSegment | undefined; wholeBytes: number } | 'damaged'> {
    const path = this.pathOf(sequence);
    const identity = { itemId: this.#item.protectedItemId, dataKey: this.dataKey, sequence };
    try {
      const { size } = statSync(path);
      const { segment, droppedBytes } = await recoverSegment({ path, ...identity, acknowledgedBytes });
      return { segment, wholeBytes: size - droppedBytes };
    } catch (error) {
      if (error instanceof ReplicaError || isGone(error)) {
        // A file that was reserved and never made has nothing to lose.
        return acknowledgedBytes > 0 ? 'damaged' : { segment: undefined, wholeBytes: 0 };
      }
      throw error;
    }
  }

  /** Whether the agent's hashes stand for the last point. An agent without any begins anywhere. */
  #isBase({ basePoint, baseCycleId }: CycleRequest, lastPoint: number): boolean {
    if (basePoint === 0) return true;
    const base = this.#options.store.findPoint(this.#item.protectedItemId, lastPoint);
    return basePoint === lastPoint && base?.cycleId === baseCycleId;
  }

  async #append(writer: SegmentWriter, extent: ReceivedExtent, place: Place): Promise<void> {
    const slot = writer.reserve();
    const { data } = extent;
    const { disk, offsetBytes } = place;
    const frame = data
      ? await this.#sealData(slot, { disk, offsetBytes }, { ...extent, data })
      : sealZeroFrame(slot, place);
    await writer.append(frame);
    free(frame);
  }

  #sealData(
    slot: FrameSlot,
    place: ExtentPlace,
    extent: ReceivedExtent & { data: Uint8Array },
  ): Promise<Buffer> {
    const { pool } = this.#options;
    const { data, lengthBytes, packedBytes } = extent;
    return packedBytes > 0
      ? pool.sealPacked(slot, { ...place, lengthBytes, packed: data })
      : pool.seal(slot, { ...place, data });
  }

  #failed(error: unknown): DomainError {
    this.#failure ??= { error };
    return error instanceof DomainError ? error : spoolFailed(error);
  }

  #refuseAfterFailure(): void {
    if (this.#failure) throw spoolFailed(this.#failure.error);
  }

  /** The segment for the next extent, which is counted as pending in it at once: so it can't be sealed before. */
  async #admit(cycleId: string, bytes: number): Promise<SpoolSegment> {
    if (this.#isClosed) throw stopping();
    this.#refuseAfterFailure();
    this.requireOpen(cycleId);
    const segment = this.#open && !isFull(this.#open, bytes) ? this.#open : await this.#nextSegment(cycleId);
    segment.sealingBytes += bytes;
    segment.pending += 1;
    return segment;
  }

  async #nextSegment(cycleId: string): Promise<SpoolSegment> {
    const { store, limits } = this.#options;
    const { protectedItemId } = this.#item;
    void this.#closeSegment();
    try {
      const segments = store.countSegments(protectedItemId, cycleId);
      if (segments >= limits.segmentsPerPoint) {
        await this.#closeSegment();
        this.#refuseAfterFailure();
        store.splitCycle(protectedItemId, this.requireOpen(cycleId));
      }
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const sequence = store.reserveSegment(protectedItemId, cycleId);
      const path = this.pathOf(sequence);
      const sink = await openFileSink(path);
      syncFolder(this.#folder);
      const identity = { itemId: protectedItemId, dataKey: this.dataKey, sequence };
      const digest = { update: () => {}, finish: () => this.#options.pool.digest(path) };
      const writer = await SegmentWriter.create(identity, sink, digest);
      this.#open = {
        sequence,
        writer,
        targetBytes: targetBytes(limits, segments),
        sealingBytes: 0,
        sealedBytes: 0,
        pending: 0,
        onIdle: undefined,
        sealed: undefined,
      };
      return this.#open;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Resolves when all that was closed is sealed, or its file left for recovery. Failures are kept, not thrown. */
  async #closeSegment(): Promise<void> {
    const segment = this.#open;
    this.#open = undefined;
    if (segment) {
      const sealed = this.#seal(segment);
      segment.sealed = sealed;
      const settled = sealed
        .catch((error: unknown) => void this.#failed(error))
        .finally(() => this.#closing.delete(settled));
      this.#closing.add(settled);
    }
    await Promise.all(this.#closing);
  }

  async #seal(segment: SpoolSegment): Promise<void> {
    const { store, onSealed } = this.#options;
    if (segment.pending > 0) await new Promise<void>((resolve) => (segment.onIdle = resolve));
    try {
      this.#refuseAfterFailure();
      store.sealSegment(this.#item.protectedItemId, await segment.writer.finish());
    } catch (error) {
      await segment.writer.abandon();
      throw error;
    }
    onSealed();
  }

  /** A cycle that the agent gave up. What was uploaded of it stays unreferenced, for the collection to find. */
  async #dropCycle(cycleId: string): Promise<void> {
    const { store } = this.#options;
    const { protectedItemId } = this.#item;
    await this.#closeSegment();
    const dropped = store.sequencesOf(protectedItemId, cycleId);
    for (const sequence of dropped) store.dropSegment(protectedItemId, sequence);
    await store.durable(); // else a crash could leave a row without its file
    for (const sequence of dropped) rmSync(this.pathOf(sequence), { force: true });
  }
}

/**
 * A tenth of a point's segments is of the usual size, three tenths of twice that, the rest of three times: with what may
 * be on its way into it when it is full, that stays below the largest segment there can be.
 */
function targetBytes({ segmentBytes, segmentsPerPoint }: LogLimits, segments: number): number {
  const part = segments / segmentsPerPoint;
  return segmentBytes * (part < 0.1 ? 1 : part < 0.4 ? 2 : 3);
}

/** What is being sealed is taken to shrink as what is sealed did. */
function isFull(segment: SpoolSegment, nextBytes: number): boolean {
  const { writer, sealingBytes, sealedBytes, pending, targetBytes } = segment;
  if (writer.frames === 0 && pending === 0) return false;
  const ratio = sealedBytes === 0 ? 1 : Math.min(1, writer.sizeBytes / sealedBytes);
  const expectedBytes = writer.sizeBytes + (sealingBytes + nextBytes) * ratio;
  return expectedBytes > targetBytes || writer.frames + pending >= framesAtMost;
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'EIO';
}
