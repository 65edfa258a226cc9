import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import type { FramePool } from '../../shared/replica/frame-pool.ts';
import { sealZeroFrame } from '../../shared/replica/frame.ts';
import { recoverSegment } from '../../shared/replica/recover-segment.ts';
import { openFileSink } from '../../shared/replica/segment-sink.ts';
import { SegmentWriter, type SealedSegment } from '../../shared/replica/segment-writer.ts';
import { syncFolder } from '../../shared/sync-folder.ts';
import type { CycleAnswer, CycleCommit, CycleRequest } from '../../shared/wire/agent.ts';
import type { ReceivedExtent } from './extent-parser.ts';
import type { SpoolStore, StoredItem } from './spool-store.ts';

/** A segment is closed when it has this much; DESIGN: 8 to 16 MiB. */
const segmentBytes = 12 * MiB;
/** Frames of one segment; each costs an index entry. */
const framesAtMost = 100_000;

/** A segment that is being written. */
interface OpenSegment {
  writer: SegmentWriter;
  /** Source bytes of the frames that are still being sealed for it. */
  sealingBytes: number;
  /** Extents that were given to it and are not yet appended. */
  pending: number;
  /** Called when nothing is pending any more. */
  onIdle: (() => void) | undefined;
}

/** Writes one item's segments into the spool. Extents are numbered in the order in which `take` is called. */
export class ItemLog {
  readonly item: StoredItem;
  readonly #dataKey: Uint8Array;
  readonly #folder: string;
  readonly #store: SpoolStore;
  readonly #pool: FramePool;
  readonly #onSealed: () => void;
  #open: OpenSegment | undefined;
  #opening: Promise<OpenSegment> | undefined;
  readonly #closing = new Set<Promise<void>>();
  /** A write that failed: nothing more is taken until the segments are recovered. */
  #failure: unknown;

  constructor(options: {
    item: StoredItem;
    dataKey: Uint8Array;
    spoolFolder: string;
    store: SpoolStore;
    pool: FramePool;
    onSealed: () => void;
  }) {
    this.item = options.item;
    this.#dataKey = options.dataKey;
    this.#folder = join(options.spoolFolder, options.item.protectedItemId);
    this.#store = options.store;
    this.#pool = options.pool;
    this.#onSealed = options.onSealed;
  }

  get dataKey(): Uint8Array {
    return this.#dataKey;
  }

  pathOf(sequence: number): string {
    return join(this.#folder, `${sequence}.seg`);
  }

  /** After a start, or a failed write: seals what was left unfinished. Everything acknowledged is in it. */
  async recover(): Promise<void> {
    const { protectedItemId } = this.item;
    await this.#open?.writer.abandon();
    this.#open = undefined;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const sequence of this.#store.unsealedSegments(protectedItemId)) {
      const segment = await this.#recoverSegment(sequence);
      if (segment) this.#store.sealSegment(protectedItemId, segment);
      else {
        rmSync(this.pathOf(sequence), { force: true });
        this.#store.dropSegment(protectedItemId, sequence);
      }
    }
    this.#failure = undefined;
    this.#onSealed();
  }

  async #recoverSegment(sequence: number): Promise<SealedSegment | undefined> {
    const identity = { itemId: this.item.protectedItemId, dataKey: this.#dataKey, sequence };
    try {
      return (await recoverSegment({ path: this.pathOf(sequence), ...identity })).segment;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined; // reserved, never made
      throw error;
    }
  }

  /** Begins a cycle, or finds the one that the agent speaks of. */
  async begin(request: CycleRequest): Promise<CycleAnswer> {
    const { protectedItemId } = this.item;
    if (this.#failure) await this.recover();
    const committed = this.#store.findPointOfCycle(protectedItemId, request.cycleId);
    if (committed) return { state: 'committed', pointSequence: committed.sequence };
    const open = this.#store.findCycle(protectedItemId);
    const lastPoint = this.#store.lastPoint(protectedItemId);
    if (open?.cycleId === request.cycleId) return { state: 'open', lastPoint };
    if (request.basePoint !== 0 && request.basePoint !== lastPoint)
      return { state: 'baseMismatch', lastPoint };
    if (open) await this.#dropCycle(open.cycleId);
    this.#store.beginCycle(protectedItemId, {
      cycleId: request.cycleId,
      basePoint: request.basePoint,
      startedAtMs: Date.now(),
    });
    return { state: 'open', lastPoint };
  }

  /** @throws DomainError Conflict when the cycle is not the open one */
  requireOpen(cycleId: string): void {
    if (this.#store.findCycle(this.item.protectedItemId)?.cycleId === cycleId) return;
    throw new DomainError({
      code: 'Conflict',
      message: `The cycle ${cycleId} is not open at the process server.`,
      recommendedAction: 'The agent begins it anew by itself.',
    });
  }

  /** Seals an extent and appends it. Resolves when it is written; `sync` makes it durable. */
  async take(cycleId: string, extent: ReceivedExtent): Promise<SegmentWriter> {
    const bytes = extent.data?.length ?? 0;
    const segment = await this.#segmentFor(cycleId, bytes);
    try {
      await this.#append(segment.writer, extent);
    } finally {
      segment.sealingBytes -= bytes;
      segment.pending -= 1;
      if (segment.pending === 0) segment.onIdle?.();
    }
    return segment.writer;
  }

  async #append(writer: SegmentWriter, extent: ReceivedExtent): Promise<void> {
    const slot = writer.reserve();
    const place = { disk: extent.diskIndex, offsetBytes: extent.offsetBytes };
    try {
      await writer.append(
        extent.data
          ? await this.#pool.seal(slot, { ...place, data: extent.data })
          : sealZeroFrame(slot, { ...place, lengthBytes: extent.lengthBytes }),
      );
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Makes durable what was taken into these segments. */
  async sync(writers: Iterable<SegmentWriter>): Promise<void> {
    try {
      for (const writer of writers) if (writer === this.#open?.writer) await writer.sync();
      await Promise.all(this.#closing);
    } catch (error) {
      throw this.#failed(error);
    }
    this.#refuseAfterFailure();
  }

  /** Ends the cycle: everything taken is sealed, and the next point is decided. */
  async commit(cycleId: string, commit: CycleCommit): Promise<number> {
    const { protectedItemId } = this.item;
    const committed = this.#store.findPointOfCycle(protectedItemId, cycleId);
    if (committed) return committed.sequence;
    this.requireOpen(cycleId);
    this.#closeSegment();
    await Promise.allSettled(this.#closing);
    this.#refuseAfterFailure();
    if (this.#store.unsealedSegments(protectedItemId).length > 0)
      throw this.#failed(new Error('A segment is open.'));
    return this.#store.commitCycle(protectedItemId, cycleId, commit);
  }

  /** Seals what is open, so that a stop leaves nothing to recover. */
  async close(): Promise<void> {
    this.#closeSegment();
    await Promise.allSettled(this.#closing);
  }

  #failed(error: unknown): unknown {
    this.#failure ??= error;
    return error instanceof DomainError ? error : spoolFailed(error);
  }

  #refuseAfterFailure(): void {
    if (this.#failure !== undefined) throw spoolFailed(this.#failure);
  }

  /** The segment for the next extent, which is counted as pending in it at once: so it can't be closed before. */
  async #segmentFor(cycleId: string, bytes: number): Promise<OpenSegment> {
    while (this.#opening) await this.#opening;
    this.#refuseAfterFailure();
    const segment = this.#open && !isFull(this.#open, bytes) ? this.#open : await this.#nextSegment(cycleId);
    segment.sealingBytes += bytes;
    segment.pending += 1;
    return segment;
  }

  async #nextSegment(cycleId: string): Promise<OpenSegment> {
    this.#closeSegment();
    this.#opening = this.#openSegment(cycleId);
    try {
      this.#open = await this.#opening;
      return this.#open;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#opening = undefined;
    }
  }

  async #openSegment(cycleId: string): Promise<OpenSegment> {
    const { protectedItemId } = this.item;
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const sequence = this.#store.reserveSegment(protectedItemId, cycleId);
    const sink = await openFileSink(this.pathOf(sequence));
    syncFolder(this.#folder);
    const identity = { itemId: protectedItemId, dataKey: this.#dataKey, sequence };
    const writer = await SegmentWriter.create(identity, sink);
    return { writer, sealingBytes: 0, pending: 0, onIdle: undefined };
  }

  #closeSegment(): void {
    const segment = this.#open;
    if (!segment) return;
    this.#open = undefined;
    const closing = this.#seal(segment).finally(() => this.#closing.delete(closing));
    closing.catch((error: unknown) => this.#failed(error)); // kept: the cycle's next call refuses
    this.#closing.add(closing);
  }

  async #seal(segment: OpenSegment): Promise<void> {
    if (segment.pending > 0) await new Promise<void>((resolve) => (segment.onIdle = resolve));
    this.#refuseAfterFailure();
    this.#store.sealSegment(this.item.protectedItemId, await segment.writer.finish());
    this.#onSealed();
  }

  /** A cycle that the agent gave up. What was uploaded of it stays unreferenced, for the collection to find. */
  async #dropCycle(cycleId: string): Promise<void> {
    this.#closeSegment();
    await Promise.allSettled(this.#closing);
    for (const { segment } of this.#store.segmentsOf(this.item.protectedItemId, cycleId)) {
      rmSync(this.pathOf(segment.sequence), { force: true });
      this.#store.dropSegment(this.item.protectedItemId, segment.sequence);
    }
  }
}

/** Sealed frames are taken to be half of their source; the format's own limit is far above. */
function isFull(segment: OpenSegment, nextBytes: number): boolean {
  const { writer, sealingBytes } = segment;
  if (writer.frames === 0 && sealingBytes === 0) return false;
  return writer.sizeBytes + (sealingBytes + nextBytes) / 2 > segmentBytes || writer.frames >= framesAtMost;
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
