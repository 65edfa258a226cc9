import type { BlockDevice } from './block-device.ts';
import { sysfsSectorBytes } from './block-device.ts';
import { BlockTrace } from './block-trace.ts';
import { DirtyMap } from './dirty-map.ts';

/** How often the kernel's buffers are emptied: they hold more than a second of the fastest disk's writes. */
const drainEveryMs = 25;

/** What was followed is no longer complete: only a full compare tells what changed. */
export class TrackingLost extends Error {
  override readonly name = 'TrackingLost';
}

/**
 * What of a device changed since its last point. A page is dirty from its write until it was copied; what was copied for
 * a point that is not committed yet is kept too, because that point may never be.
 */
export class WriteTracker {
  readonly #device: BlockDevice;
  readonly #bufferKiB: number | undefined;
  #trace: BlockTrace | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dirty: DirtyMap;
  #copied: DirtyMap;
  #cycleId: string | undefined;
  /** The cycle whose point the dirty and the copied pages are relative to. */
  #base: string | undefined;
  #isCompared = false;
  #losses = 0;
  #whyLost: string | undefined;
  #writtenBytes = 0;

  constructor(device: BlockDevice, bufferKiB?: number) {
    this.#device = device;
    this.#bufferKiB = bufferKiB;
    this.#dirty = new DirtyMap(device.sizeBytes);
    this.#copied = new DirtyMap(device.sizeBytes);
  }

  get dirtyBytes(): number {
    return this.#dirty.dirtyBytes;
  }

  /** Bytes of all writes, zeroes and discards that were seen, repeated ones too. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** How often a full compare became needed, and why the last time. */
  get lost(): { times: number; reason: string | undefined } {
    return { times: this.#losses, reason: this.#whyLost };
  }

  /**
   * Begins a cycle, or goes on with it.
   *
   * @param base the cycle that made the point which the replica stands at; undefined when there is none
   * @returns whether every change since the base is known; if not, the disk is to be compared, then {@link compared} told
   */
  begin(cycleId: string, base: string | undefined): boolean {
    const isSame = this.#cycleId === cycleId;
    const isKnown = isSame ? this.#isCompared : base !== undefined && this.#base === base;
    if (!isSame) this.giveBack(this.#copied.take());
    this.#cycleId = cycleId;
    this.#drain();
    if (this.#trace && this.#trace.lost === undefined && isKnown) {
      this.#isCompared = true;
      return true;
    }
    this.#start();
    return false;
  }

  /** A full compare, begun after {@link begin}, has ended: what is not dirty is as in the replica. */
  compared(): void {
    this.#isCompared = true;
  }

  /** Sees to it that every write that completed before this call is in the map. @throws TrackingLost */
  settle(): void {
    this.#trace?.settle(this.#note);
    const reason = this.#trace ? this.#trace.lost : 'the tracing was ended';
    if (reason !== undefined) throw this.#forget(reason);
  }

  /** Gives what is dirty, to be copied; afterwards tell {@link copied} or {@link giveBack}. */
  take(): DirtyMap {
    return this.#dirty.take();
  }

  copied(pages: DirtyMap): void {
    this.#copied.addAll(pages);
  }

  giveBack(pages: DirtyMap): void {
    this.#dirty.addAll(pages);
  }

  /** The cycle's point is committed: from now on the changes since its moment count. */
  committed(cycleId: string): void {
    if (this.#cycleId !== cycleId || !this.#isCompared) return;
    this.#copied.clear();
    this.#base = cycleId;
    this.#cycleId = undefined;
    this.#isCompared = false;
  }

  close(): void {
    clearInterval(this.#timer);
    this.#trace?.close();
    this.#trace = undefined;
  }

  #start(): void {
    const whyLost = this.#trace?.lost;
    if (whyLost !== undefined) this.#forget(whyLost);
    this.close();
    this.#dirty.clear();
    this.#copied.clear();
    this.#base = undefined;
    this.#isCompared = false;
    this.#trace = BlockTrace.open(this.#device.disk, this.#bufferKiB);
    this.#timer = setInterval(() => this.#drain(), drainEveryMs).unref();
  }

  #drain(): void {
    this.#trace?.drain(this.#note);
  }

  #forget(reason: string): TrackingLost {
    if (this.#trace) this.#losses += 1;
    this.#whyLost = reason;
    this.close();
    this.#base = undefined;
    this.#isCompared = false;
    return new TrackingLost(`The writes to ${this.#device.path} were not all seen: ${reason}.`);
  }

  readonly #note = (_device: number, sector: number, sectors: number): void => {
    const lengthBytes = sectors * sysfsSectorBytes;
    this.#dirty.add(sector * sysfsSectorBytes - this.#device.startBytes, lengthBytes);
    this.#writtenBytes += lengthBytes;
  };
}
