import { rm } from 'node:fs/promises';
import { preparePoint } from '../../shared/replica/chain.ts';
import { MAX_SEGMENT_BYTES } from '../../shared/replica/layout.ts';
import { genesisHead } from '../../shared/replica/point.ts';
import { StoreError, type ReplicaStore } from '../../shared/replica/replica-store.ts';
import type { ItemLog } from './item-log.ts';
import { SpoolDamaged, isAltered, readSpooled } from './read-spooled.ts';
import type { StoredPoint, StoredSegment } from './spool-rows.ts';
import type { SpoolStore } from './spool-store.ts';

const uploadsAtOnce = 3;
const retryMs = { first: 500, most: 60_000 };
/** Over how long the upload rate is told. */
const rateWindowMs = 10_000;

/** What the uploader needs to know of its process server. */
export interface UploaderOptions {
  store: SpoolStore;
  logs: ReadonlyMap<string, ItemLog>;
  /** Where an item's log is written to. @throws DomainError Unavailable */
  replicaOf: (protectedItemId: string) => Promise<ReplicaStore>;
  onUploaded: (protectedItemId: string) => void;
  onPoint: (protectedItemId: string, point: StoredPoint) => void;
  /** An item's uploads fail (with what) or work again. */
  onLink: (protectedItemId: string, failure: unknown) => void;
  onBug: (error: unknown) => void;
}

/** How an item's uploads go. After a failure they rest, and the other items' go on. */
interface Lane {
  failures: number;
  restsUntilMs: number;
}

/**
 * Brings sealed segments into the replica log, oldest first, and a point's manifest when all its segments are there.
 * Whatever fails is tried again, for ever: the spool holds it.
 */
export class Uploader {
  readonly #options: UploaderOptions;
  readonly #stop = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  readonly #lanes = new Map<string, Lane>();
  readonly #recent: { atMs: number; bytes: number }[] = [];
  /**
   * Memory for segments, used again and again. Its pages come into being as they are needed, so that the largest
   * segment there can be costs nothing until there is one.
   */
  readonly #buffers: SharedArrayBuffer[] = [];
  /** The item that got the last turn: the next one is another's. */
  #lastItemId = '';

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  bytesPerSecond(): number {
    const sinceMs = Date.now() - rateWindowMs;
    while (this.#recent[0] && this.#recent[0].atMs < sinceMs) this.#recent.shift();
    return this.#recent.reduce((sum, { bytes }) => sum + bytes, 0) / (rateWindowMs / 1_000);
  }

  /** Starts what there is to upload, as much at once as is good. To be called whenever something may have come up. */
  poke(): void {
    if (this.#stop.signal.aborted) return;
    while (this.#running.size < uploadsAtOnce) {
      const next = this.#nextUpload();
      if (!next) return;
      this.#lastItemId = next.protectedItemId;
      const running = this.#attempt(next.protectedItemId, next.upload).finally(() => {
        this.#running.delete(next.key);
        this.poke();
      });
      this.#running.set(next.key, running);
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('The process server is stopping.'));
    await Promise.allSettled(this.#running.values());
  }

  #nextUpload(): { key: string; protectedItemId: string; upload: () => Promise<void> } | undefined {
    const ids = [...this.#options.logs.keys()];
    const first = ids.indexOf(this.#lastItemId) + 1;
    for (const protectedItemId of [...ids.slice(first), ...ids.slice(0, first)]) {
      const log = this.#options.logs.get(protectedItemId);
      const rests = (this.#lanes.get(protectedItemId)?.restsUntilMs ?? 0) > Date.now();
      const found = log && !rests ? this.#nextOf(log) : undefined;
      if (found) return { protectedItemId, ...found };
    }
    return undefined;
  }

  #nextOf(log: ItemLog): { key: string; upload: () => Promise<void> } | undefined {
    const { store } = this.#options;
    const { protectedItemId } = log.item;
    const pointKey = `${protectedItemId}/point`;
    const point = this.#running.has(pointKey) ? undefined : store.findPendingPoint(protectedItemId);
    const segments = point ? store.segmentsOf(protectedItemId, point.cycleId) : [];
    if (point && segments.every(({ uploaded }) => uploaded)) {
      return { key: pointKey, upload: () => this.#uploadPoint(log, point, segments) };
    }
    for (const segment of store.pendingSegments(protectedItemId, uploadsAtOnce)) {
      const key = `${protectedItemId}/${segment.segment.sequence}`;
      if (!this.#running.has(key)) return { key, upload: () => this.#uploadSegment(log, segment) };
    }
    return undefined;
  }

  async #attempt(protectedItemId: string, upload: () => Promise<void>): Promise<void> {
    const { logs, onLink } = this.#options;
    const log = logs.get(protectedItemId);
    try {
      await upload();
      if (this.#lanes.delete(protectedItemId)) onLink(protectedItemId, undefined);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (logs.get(protectedItemId) !== log) {
        this.#lanes.delete(protectedItemId); // no longer replicated: its spool went meanwhile
        return;
      }
      const failures = (this.#lanes.get(protectedItemId)?.failures ?? 0) + 1;
      const restMs = Math.min(retryMs.first * 2 ** (failures - 1), retryMs.most);
      this.#lanes.set(protectedItemId, { failures, restsUntilMs: Date.now() + restMs });
      setTimeout(() => this.poke(), restMs + 1).unref();
      onLink(protectedItemId, error);
    }
  }

  async #uploadSegment(log: ItemLog, stored: StoredSegment): Promise<void> {
    const { store, replicaOf, onUploaded } = this.#options;
    const { protectedItemId, segment } = stored;
    const replica = await replicaOf(protectedItemId);
    const buffer = this.#buffers.pop() ?? new SharedArrayBuffer(MAX_SEGMENT_BYTES);
    let outcome: 'created' | 'exists';
    let bytes: Uint8Array = new Uint8Array(buffer, 0, 0);
    try {
      bytes = await readSpooled(new Uint8Array(buffer), log.pathOf(segment.sequence), segment);
      if (!stored.tried) store.markTried(protectedItemId, segment.sequence);
      await store.durable();
      const options = { md5: segment.md5, signal: this.#stop.signal };
      outcome = await replica.putIfAbsent(segment.name, bytes, options);
    } catch (error) {
      if (!(error instanceof SpoolDamaged) && !isAltered(error, bytes, segment)) throw error;
      return await log.lose(segment.sequence);
    } finally {
      this.#buffers.push(buffer);
    }
    refuseForeign(outcome, stored, segment.name);
    store.markUploaded(protectedItemId, segment.sequence);
    store
      .durable()
      .then(() => rm(log.pathOf(segment.sequence), { force: true }))
      .catch(this.#options.onBug); // the file stays; the next start removes it
    this.#recent.push({ atMs: Date.now(), bytes: segment.sizeBytes });
    onUploaded(protectedItemId);
  }

  /** The bytes depend on nothing but what is stored, so that a repeated upload finds the same ones. */
  async #uploadPoint(log: ItemLog, point: StoredPoint, segments: StoredSegment[]): Promise<void> {
    const { store, replicaOf, onPoint } = this.#options;
    const { protectedItemId } = log.item;
    const prepared = preparePoint(
      { itemId: protectedItemId, dataKey: log.dataKey },
      {
        head: this.#headBefore(protectedItemId, point),
        consistency: point.consistency,
        time: new Date(point.capturedAtMs),
        disks: point.disks.map(({ number, diskId, sizeBytes }) => ({
          number,
          id: diskId,
          sizeBytes,
          sectorBytes: 512,
        })),
        segments: segments.map(({ segment }) => segment),
      },
    );
    const replica = await replicaOf(protectedItemId);
    if (!point.tried) store.markPointTried(protectedItemId, point.sequence);
    await store.durable();
    const options = { md5: prepared.md5, signal: this.#stop.signal };
    refuseForeign(await replica.putIfAbsent(prepared.name, prepared.bytes, options), point, prepared.name);
    const uploadedBytes = segments.reduce((sum, { segment }) => sum + segment.sizeBytes, 0);
    const { hash } = prepared.head;
    store.markPointUploaded(protectedItemId, point.sequence, { hash, bytes: uploadedBytes });
    log.reload(); // it may have repaired the item
    onPoint(protectedItemId, { ...point, hash, uploadedBytes });
  }

  #headBefore(protectedItemId: string, { sequence }: StoredPoint): { sequence: number; hash: string } {
    if (sequence === 1) return genesisHead(protectedItemId);
    const hash = this.#options.store.findPoint(protectedItemId, sequence - 1)?.hash;
    if (hash === undefined) throw new Error(`The hash of point ${sequence - 1} is not known.`);
    return { sequence: sequence - 1, hash };
  }
}

/** A name that is taken is our own earlier upload whose answer was lost, or somebody else's: then nothing is safe. */
function refuseForeign(outcome: 'created' | 'exists', { tried }: { tried: boolean }, name: string): void {
  if (outcome === 'created' || tried) return;
  throw new StoreError(
    `${name} is in the replica log already, and this process server did not put it there`,
    { code: 'BlobAlreadyExists', isRetryable: false },
  );
}
