import type { CycleProgress } from '../../shared/wire/agent.ts';
import type { DiskRef } from '../../shared/wire/command.ts';
import type { ItemProgress } from '../../shared/wire/check-in.ts';
import { DomainError, type Fault } from '../../shared/fault.ts';
import { StoreError } from '../../shared/replica/replica-store.ts';
import type { OpenCycle, StoredItem } from './spool-rows.ts';
import type { SpoolStore } from './spool-store.ts';

const rateWindowMs = 5_000;

/** What agents said of where their disks stand; enough to tell phase, rate and time left. */
export class ProgressBook {
  readonly #store: SpoolStore;
  readonly #items = new Map<
    string,
    {
      cycleId: string;
      disks: CycleProgress['disks'];
      samples: { atMs: number; bytes: number }[];
      fault?: Fault;
    }
  >();

  readonly #links = new Map<string, Fault>();

  constructor(store: SpoolStore) {
    this.#store = store;
  }

  heard(protectedItemId: string, cycleId: string, progress: CycleProgress): void {
    const known = this.#items.get(protectedItemId);
    const samples = known?.cycleId === cycleId ? known.samples : [];
    const fault = known?.fault;
    const bytes = progress.disks.reduce((sum, { processedBytes }) => sum + processedBytes, 0);
    samples.push({ atMs: Date.now(), bytes });
    while (samples.length > 2 && (samples[0]?.atMs ?? 0) < Date.now() - rateWindowMs) samples.shift();
    this.#items.set(protectedItemId, {
      cycleId,
      disks: progress.disks,
      samples,
      ...(fault ? { fault } : {}),
    });
  }

  /** Why the agent stands still; undefined when it no longer does. */
  setFault(protectedItemId: string, fault: Fault | undefined): void {
    const known = this.#items.get(protectedItemId) ?? { cycleId: '', disks: [], samples: [] };
    delete known.fault;
    this.#items.set(protectedItemId, fault ? { ...known, fault } : known);
  }

  forget(protectedItemId: string): void {
    this.#items.delete(protectedItemId);
    this.#links.delete(protectedItemId);
  }

  /** The item's uploads fail (with what), or work again. */
  setLink(protectedItemId: string, failure: unknown): void {
    if (failure === undefined) this.#links.delete(protectedItemId);
    else this.#links.set(protectedItemId, linkFault(failure));
  }

  of(item: StoredItem): ItemProgress {
    const { protectedItemId, resync, damage } = item;
    const fault = this.#items.get(protectedItemId)?.fault ?? this.#links.get(protectedItemId);
    const open = this.#store.findCycle(protectedItemId);
    return {
      protectedItemId,
      ...(fault ? { fault } : {}),
      ...(resync.asked > 0 ? { resync } : {}),
      ...(damage ? { damage } : {}),
      ...(open ? this.#ofCycle(item, open) : this.#ofRest(item)),
    };
  }

  #ofCycle(item: StoredItem, open: OpenCycle): CycleStanding {
    const { protectedItemId } = item;
    const lastPoint = this.#store.lastPoint(protectedItemId);
    const known = this.#items.get(protectedItemId);
    const current = known?.cycleId === open.cycleId ? known : undefined;
    return {
      phase: phaseOf(open, item, lastPoint),
      cycle: lastPoint + 1,
      disks: open.disks.map(
        (disk) => current?.disks.find(({ diskId }) => diskId === disk.diskId) ?? standing(disk, 0),
      ),
      uploadedBytes: this.#store.uploadedBytes(protectedItemId, open.cycleId),
      bytesPerSecond: current ? rateOf(current.samples) : 0,
      startedAtMs: open.startedAtMs,
    };
  }

  /** Between two cycles. */
  #ofRest({ protectedItemId, disks }: StoredItem): CycleStanding {
    const lastPoint = this.#store.lastPoint(protectedItemId);
    const point = this.#store.findPoint(protectedItemId, lastPoint);
    return {
      phase: 'Waiting',
      cycle: Math.max(lastPoint, 1),
      disks: disks.map((disk) => standing(disk, lastPoint > 0 ? disk.sizeBytes : 0)),
      uploadedBytes: point?.uploadedBytes || this.#store.uploadedBytes(protectedItemId, point?.cycleId ?? ''),
      bytesPerSecond: 0,
      startedAtMs: 0,
    };
  }
}

type CycleStanding = Omit<ItemProgress, 'protectedItemId' | 'fault' | 'resync' | 'damage'>;

function standing({ diskId, sizeBytes }: DiskRef, processedBytes: number): ItemProgress['disks'][number] {
  return { diskId, totalBytes: sizeBytes, processedBytes };
}

function linkFault(failure: unknown): Fault {
  if (failure instanceof DomainError) return failure.fault;
  const reason = failure instanceof Error ? failure.message : 'no reason was told';
  const isForeign = failure instanceof StoreError && failure.code === 'BlobAlreadyExists';
  return {
    code: isForeign ? 'Conflict' : 'Unavailable',
    message: `Uploads to the replica log fail: ${reason}.`.slice(0, 4_000),
    recommendedAction: isForeign
      ? 'The log was continued by another process server, or this one was set back to an earlier state. The points there stay valid. Disable replication of the machine, then enable it again.'
      : 'Nothing is lost: the spool keeps all. Check the link from the process server to the storage account.',
  };
}

function phaseOf(
  { basePoint, resync, repairs }: OpenCycle,
  item: StoredItem,
  lastPoint: number,
): ItemProgress['phase'] {
  if (lastPoint === 0) return 'InitialReplication';
  return basePoint === 0 || resync > item.resync.done || repairs > 0 ? 'Resync' : 'Delta';
}

function rateOf(samples: { atMs: number; bytes: number }[]): number {
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || last.atMs <= first.atMs) return 0;
  return Math.max(0, ((last.bytes - first.bytes) * 1_000) / (last.atMs - first.atMs));
}
