import { collect } from '../../shared/replica/collect.ts';
import type { Collection } from '../../shared/replica/collect.ts';
import { compact } from '../../shared/replica/compact.ts';
import type { CompactionStep } from '../../shared/replica/compact.ts';
import type { CompactionHead } from '../../shared/replica/compaction-record.ts';
import { MiB } from '../../shared/bytes.ts';
import { Crash, CrashingStore } from './crashing-store.ts';
import { Recorder } from './recorder.ts';
import type { Snapshot } from './recorder.ts';

const HOUR_MS = 3_600_000;

/** A recorded log and what the control plane knows of it: which points are kept, and the compaction in force. */
export class KeptLog {
  readonly recorder: Recorder;
  /** The snapshots that must stay restorable, by sequence. */
  readonly kept = new Map<number, Snapshot>();
  compaction: CompactionHead | undefined;
  #number = 1;
  #nowMs = Date.UTC(2026, 0, 1);

  constructor(recorder: Recorder) {
    this.recorder = recorder;
  }

  async point(isOffered = true): Promise<void> {
    const snapshot = await this.recorder.point(isOffered ? 'CrashConsistent' : 'NotConsistent');
    if (isOffered) this.kept.set(snapshot.head.sequence, snapshot);
  }

  /** Gives up the points that a predicate picks; never the newest. */
  thin(isGoing: (at: number) => boolean): void {
    for (const [at, sequence] of [...this.kept.keys()].slice(0, -1).entries()) {
      if (isGoing(at)) this.kept.delete(sequence);
    }
  }

  /** One step, anchored unless the process dies before that, or after so many changes of the store. */
  async compact(
    options: { diesAfter?: number; budgetBytes?: number; isAnchored?: boolean } = {},
  ): Promise<CompactionStep | undefined> {
    const numbers = { compaction: this.#number, layer: this.#number, segment: this.#number };
    this.#number += 1_000;
    return this.#dying(options.diesAfter, async (log) => {
      const step = await compact({
        log,
        head: this.recorder.head,
        current: this.compaction,
        kept: new Map([...this.kept.values()].map(({ head }) => [head.sequence, head.hash])),
        coverBeforeMs: Number.POSITIVE_INFINITY,
        numbers,
        budgetBytes: options.budgetBytes ?? MiB,
        nowMs: this.#nowMs,
      });
      if (step !== undefined && options.isAnchored !== false) this.compaction = step.compaction;
      return step;
    });
  }

  /** Steps until nothing is left to do. */
  async compactAll(): Promise<void> {
    for (let steps = 0; (await this.compact()) !== undefined; steps += 1) {
      if (steps > 50) throw new Error('compaction does not come to an end');
    }
  }

  /** One collection, an hour after the last one. */
  async collect(
    options: { diesAfter?: number; graceMs?: number; mayRemove?: boolean } = {},
  ): Promise<Collection | undefined> {
    this.#nowMs += HOUR_MS;
    this.#number += 1_000;
    const number = this.#number;
    return this.#dying(options.diesAfter, (log) =>
      collect({
        log,
        head: this.recorder.head,
        compaction: this.compaction,
        number,
        unused: { layer: number, segment: number },
        minimumAgeMs: 0,
        graceMs: options.graceMs ?? HOUR_MS,
        mayRemove: options.mayRemove ?? true,
        nowMs: this.#nowMs,
      }),
    );
  }

  async #dying<T>(
    diesAfter: number | undefined,
    work: (log: { store: Recorder['store'] | CrashingStore; itemId: string; dataKey: Buffer }) => Promise<T>,
  ): Promise<T | undefined> {
    const { store, itemId, dataKey } = this.recorder.log;
    if (diesAfter === undefined) return work({ store, itemId, dataKey });
    try {
      return await work({ store: new CrashingStore(store, diesAfter), itemId, dataKey });
    } catch (error) {
      if (error instanceof Crash) return undefined;
      throw error;
    }
  }
}
