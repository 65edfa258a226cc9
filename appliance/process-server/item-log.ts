import { readdirSync, rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import type { FramePool } from '../../shared/replica/frame-pool.ts';
import { free } from '../../shared/replica/free.ts';
import { sealZeroFrame, type ExtentPlace, type FrameSlot } from '../../shared/replica/frame.ts';
import { recoverSegment } from '../../shared/replica/recover-segment.ts';
import { openFileSink } from '../../shared/replica/segment-sink.ts';
import { SegmentWriter, type SealedSegment } from '../../shared/replica/segment-writer.ts';
import { syncFolder } from '../../shared/sync-folder.ts';
import type { CycleAnswer, CycleCommit, CycleRequest } from '../../shared/wire/agent.ts';
import type { ReceivedExtent } from './extent-parser.ts';
import type { OpenCycle, SpoolStore, StoredItem } from './spool-store.ts';

/** A segment is closed when it has this much; DESIGN: 8 to 16 MiB. */
const segmentBytes = 12 * MiB;
/** Frames of one segment; each costs an index entry. */
const framesAtMost = 100_000;
/** A manifest takes 32,768. A longer cycle is saved by points that are told to be of no one moment. */
const segmentsPerPointAtMost = 30_000;

/** A segment that is being written. */
export interface SpoolSegment {
  readonly writer: SegmentWriter;
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
  onSealed: () => void;
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

  /** Takes over what may change while an item is replicated; its disks and its key may not. */
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

  /** Begins a cycle, or finds the one that the agent speaks of. */
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
      if (this.#cycle?.cycleId === request.cycleId) return { state: 'open', lastPoint };
      if (request.resumes) return { state: 'unknownCycle' };
      if (!this.#isBase(request, lastPoint)) return { state: 'baseMismatch', lastPoint };
      if (this.#cycle) await this.#dropCycle(this.#cycle.cycleId);
      const { cycleId, basePoint } = request;
      const cycle = { cycleId, basePoint, startedAtMs: Date.now() };
      store.beginCycle(protectedItemId, cycle);
      this.#cycle = cycle;
      return { state: 'open', lastPoint };
    });
  }

  /** @throws DomainError Conflict when the cycle is not the open one */
  requireOpen(cycleId: string): void {
    if (this.#cycle?.cycleId === cycleId) return;
    throw new DomainError({
      code: 'Conflict',
      message: `The cycle ${cycleId} is not open at the process server.`,
      recommendedAction: 'The agent begins it anew by itself.',
    });
  }

  /** Seals an extent and appends it. Resolves when it is written; `sync` makes it durable. Of overlapping ones the later call counts. */
  async take(cycleId: string, extent: ReceivedExtent): Promise<SpoolSegment> {
    const bytes = extent.data?.length ?? 0;
    const segment = await this.#inTurn(() => this.#admit(cycleId, bytes));
    try {
      await this.#append(segment.writer, extent);
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

  /** Makes durable what was taken into these segments. */
  async sync(segments: Iterable<SpoolSegment>): Promise<void> {
    try {
      await Promise.all([
        this.#options.store.durable(), // that these segments are there
        ...[...segments].map((segment) => segment.sealed ?? segment.writer.sync()),
      ]);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Ends the cycle: everything taken is sealed, and the next point is decided. */
  commit(cycleId: string, commit: CycleCommit): Promise<number> {
    return this.#inTurn(async () => {
      const { store } = this.#options;
      const { protectedItemId } = this.#item;
      const committed = store.findPointOfCycle(protectedItemId, cycleId);
      if (committed) {
        await store.durable(); // the answer that did not arrive may have been that it is not
        return committed.sequence;
      }
      this.requireOpen(cycleId);
      await this.#closeSegment();
      this.#refuseAfterFailure();
      const sequence = store.commitCycle(protectedItemId, cycleId, commit);
      this.#cycle = undefined;
      await store.durable();
      return sequence;
    });
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
      for (const sequence of store.unsealedSegments(protectedItemId)) {
        const segment = await this.#recoverSegment(sequence);
        if (segment) store.sealSegment(protectedItemId, segment);
        else store.dropSegment(protectedItemId, sequence);
      }
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

  async #recoverSegment(sequence: number): Promise<SealedSegment | undefined> {
    const identity = { itemId: this.#item.protectedItemId, dataKey: this.dataKey, sequence };
    try {
      return (await recoverSegment({ path: this.pathOf(sequence), ...identity })).segment;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // reserved, never made
      throw error;
    }
  }

  /** Whether the agent's hashes stand for the last point. An agent without any begins anywhere. */
  #isBase({ basePoint, baseCycleId }: CycleRequest, lastPoint: number): boolean {
    if (basePoint === 0) return true;
    const base = this.#options.store.findPoint(this.#item.protectedItemId, lastPoint);
    return basePoint === lastPoint && base?.cycleId === baseCycleId;
  }

  async #append(writer: SegmentWriter, extent: ReceivedExtent): Promise<void> {
    const slot = writer.reserve();
    const place = { disk: extent.diskIndex, offsetBytes: extent.offsetBytes };
    const { data } = extent;
    const frame = data
      ? await this.#sealData(slot, place, { ...extent, data })
      : sealZeroFrame(slot, { ...place, lengthBytes: extent.lengthBytes });
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
    const { store } = this.#options;
    const { protectedItemId } = this.#item;
    void this.#closeSegment();
    try {
      if (store.countSegments(protectedItemId, cycleId) >= segmentsPerPointAtMost) {
        await this.#closeSegment();
        this.#refuseAfterFailure();
        store.splitCycle(protectedItemId, cycleId);
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
        writer,
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

/** What is being sealed is taken to shrink as what is sealed did. */
function isFull(segment: SpoolSegment, nextBytes: number): boolean {
  const { writer, sealingBytes, sealedBytes, pending } = segment;
  if (writer.frames === 0 && pending === 0) return false;
  const ratio = sealedBytes === 0 ? 1 : Math.min(1, writer.sizeBytes / sealedBytes);
  const expectedBytes = writer.sizeBytes + (sealingBytes + nextBytes) * ratio;
  return expectedBytes > segmentBytes || writer.frames + pending >= framesAtMost;
}

function stopping(): DomainError {
  return new DomainError({ code: 'Unavailable', message: 'The process server is stopping.' });
}

function spoolFailed(cause: unknown): DomainError {
  const code = (cause as NodeJS.ErrnoException).code;
  return new DomainError(
    {
      code: 'Unavailable',
      message: `The process server can not write its spool${code === undefined ? '' : ` (${code})`}.`,
      recommendedAction: 'Check the cache disk of the process server: its free space and its health.',
    },
    { cause },
  );
}
