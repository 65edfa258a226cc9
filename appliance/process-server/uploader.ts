import { readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { encodePoint, genesisHead, hashPoint } from '../../shared/replica/point.ts';
import { pointName } from '../../shared/replica/layout.ts';
import { StoreError, type ReplicaStore } from '../../shared/replica/replica-store.ts';
import type { ItemLog } from './item-log.ts';
import type { SpoolStore, StoredPoint, StoredSegment } from './spool-store.ts';

const uploadsAtOnce = 3;
const retryMs = { first: 1_000, most: 60_000 };
/** Over how long the upload rate is told. */
const rateWindowMs = 10_000;

/** What the uploader needs to know of its process server. */
export interface UploaderOptions {
  store: SpoolStore;
  findLog: (protectedItemId: string) => ItemLog | undefined;
  /** Where an item's log is written to. @throws DomainError Unavailable */
  replicaOf: (protectedItemId: string) => Promise<ReplicaStore>;
  onUploaded: (protectedItemId: string) => void;
  onPoint: (protectedItemId: string, point: StoredPoint) => void;
  /** The link to the vault's storage failed (with what) or works again. */
  onLink: (failure: unknown) => void;
}

/**
 * Brings sealed segments into the replica log, oldest first, and a point's manifest when all its segments are there.
 * Whatever fails is tried again, for ever: the spool holds it.
 */
export class Uploader {
  readonly #options: UploaderOptions;
  readonly #stop = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  readonly #recent: { atMs: number; bytes: number }[] = [];
  #retryMs = retryMs.first;
  #pausedUntilMs = 0;

  constructor(options: UploaderOptions) {
    this.#options = options;
  }

  bytesPerSecond(): number {
    const sinceMs = Date.now() - rateWindowMs;
    while (this.#recent[0] && this.#recent[0].atMs < sinceMs) this.#recent.shift();
    return this.#recent.reduce((sum, { bytes }) => sum + bytes, 0) / (rateWindowMs / 1_000);
  }

  /** Looks for work. Called whenever some may have come up; does nothing while enough is under way. */
  poke(): void {
    if (this.#stop.signal.aborted || Date.now() < this.#pausedUntilMs) return;
    const { store, findLog } = this.#options;
    for (const segment of store.pendingSegments(uploadsAtOnce * 2)) {
      const key = `${segment.protectedItemId}/${segment.segment.sequence}`;
      const log = findLog(segment.protectedItemId);
      if (log) this.#start(key, () => this.#uploadSegment(log, segment));
    }
  }

  /** Writes the manifests of this item's points that are complete. */
  pokePoints(log: ItemLog): void {
    if (this.#stop.signal.aborted || Date.now() < this.#pausedUntilMs) return;
    const { protectedItemId } = log.item;
    const point = this.#options.store.findPendingPoint(protectedItemId);
    if (!point) return;
    const segments = this.#options.store.segmentsOf(protectedItemId, point.cycleId);
    if (segments.every(({ uploaded }) => uploaded)) {
      this.#start(`${protectedItemId}/point`, () => this.#uploadPoint(log, point, segments));
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#running.values());
  }

  #start(key: string, work: () => Promise<void>): void {
    if (this.#running.has(key) || this.#running.size >= uploadsAtOnce) return;
    const running = this.#attempt(work).finally(() => {
      this.#running.delete(key);
      this.#resume();
    });
    this.#running.set(key, running);
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (this.#retryMs !== retryMs.first) this.#options.onLink(undefined);
      this.#retryMs = retryMs.first;
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#options.onLink(error);
      this.#pausedUntilMs = Date.now() + this.#retryMs;
      this.#retryMs = Math.min(this.#retryMs * 2, retryMs.most);
    }
  }

  #resume(): void {
    const waitMs = this.#pausedUntilMs - Date.now();
    if (waitMs <= 0) {
      this.#pokeAll();
      return;
    }
    delay(waitMs, undefined, { signal: this.#stop.signal, ref: false }).then(
      () => this.#pokeAll(),
      () => {}, // stopped meanwhile
    );
  }

  #pokeAll(): void {
    this.poke();
    for (const item of this.#options.store.items()) {
      const log = this.#options.findLog(item.protectedItemId);
      if (log) this.pokePoints(log);
    }
  }

  async #uploadSegment(log: ItemLog, stored: StoredSegment): Promise<void> {
    const { store } = this.#options;
    const { protectedItemId, segment } = stored;
    const replica = await this.#options.replicaOf(protectedItemId);
    const bytes = await readFile(log.pathOf(segment.sequence));
    store.markTried(protectedItemId, segment.sequence);
    const outcome = await replica.putIfAbsent(segment.name, bytes, {
      md5: segment.md5,
      signal: this.#stop.signal,
    });
    refuseForeign(outcome, stored.tried, segment.name);
    store.markUploaded(protectedItemId, segment.sequence);
    this.#recent.push({ atMs: Date.now(), bytes: bytes.length });
    await rm(log.pathOf(segment.sequence), { force: true });
    this.#options.onUploaded(protectedItemId);
    this.pokePoints(log);
  }

  /** The bytes depend on nothing but what is stored, so that a repeated upload finds the same ones. */
  async #uploadPoint(log: ItemLog, point: StoredPoint, segments: StoredSegment[]): Promise<void> {
    const { store } = this.#options;
    const { protectedItemId, disks } = log.item;
    const previous =
      point.sequence === 1
        ? genesisHead(protectedItemId).hash
        : store.findPoint(protectedItemId, point.sequence - 1)?.hash;
    if (previous === undefined) throw new Error(`The hash of point ${point.sequence - 1} is not known.`);
    const bytes = encodePoint(
      {
        itemId: protectedItemId,
        sequence: point.sequence,
        previous,
        consistency: point.consistency,
        time: new Date(point.capturedAtMs).toISOString(),
        disks: disks.map(({ diskId, sizeBytes }, number) => ({
          number,
          id: diskId,
          sizeBytes,
          sectorBytes: 512,
        })),
        segments: segments.map(({ segment: { sequence, name, sizeBytes, sha256, mac } }) => ({
          sequence,
          name,
          sizeBytes,
          sha256,
          mac,
        })),
      },
      log.dataKey,
    );
    const replica = await this.#options.replicaOf(protectedItemId);
    await replica.putIfAbsent(pointName(point.sequence), bytes, { signal: this.#stop.signal });
    const hash = hashPoint(bytes);
    store.markPointUploaded(protectedItemId, point.sequence, hash);
    this.#options.onPoint(protectedItemId, { ...point, hash });
  }
}

/** A name that is taken is our own earlier upload whose answer was lost, or somebody else's: then nothing is safe. */
function refuseForeign(outcome: 'created' | 'exists', tried: boolean, name: string): void {
  if (outcome === 'created' || tried) return;
  throw new StoreError(
    `${name} is in the replica log already, and this process server did not put it there.`,
    {
      code: 'BlobAlreadyExists',
      isRetryable: false,
    },
  );
}
