import { DomainError } from '../fault.ts';
import { type ItemRef } from '../protection/item-row.ts';
import { type ReplicaVault, containerOf, openDataKey } from '../protection/replica-container.ts';
import { BlobReplicaStore } from '../replica/blob-replica-store.ts';
import { type ChainAdvance, advanceChain } from '../replica/chain.ts';
import { type ChainHead, genesisHead } from '../replica/point.ts';
import { type Defect } from '../replica/replica-error.ts';
import { StoreError } from '../replica/replica-store.ts';
import { type Table } from '../store/table.ts';
import { historyWrites, newsOf } from './history.ts';
import { findAnchor, moveAnchor } from './recovery-point-store.ts';
import { type Anchor, type RecoveryPoint, recoveryPointName } from './recovery-point.ts';

/** Points read at once; with the anchor, and an hour of history each, they fit in one transaction. */
const pointsAtOnce = 48;
/** Segments proven before the anchor moves: the points of a long first replication must not be read anew each time. */
const segmentsAtOnce = 4_000;
/** How often somebody else may move the anchor first. */
const mostAttempts = 20;

/**
 * Follows an item's replica log from the anchored end, proves each new point, records it once and moves the anchor.
 * Any order, any repetition and any number of callers at once lead to the same rows. Answers the anchor as it then is;
 * undefined where there is no point yet.
 * @throws Unavailable when Storage can't be reached, ResourceNotFound when the item is gone or has no container.
 */
export async function advanceRecoveryPoints(
  services: ReplicaVault & { table: Table },
  item: ItemRef,
  options: { nowMs?: number } = {},
): Promise<Anchor | undefined> {
  const { protectedItemId } = item;
  const log = {
    store: new BlobReplicaStore(containerOf(services, protectedItemId)),
    itemId: protectedItemId,
    dataKey: await openDataKey(services, protectedItemId),
  };
  for (let attempt = 1; ; attempt += 1) {
    const from = await findAnchor(services.table, item);
    const head: ChainHead = from ?? genesisHead(protectedItemId);
    const advance = await reaching(() => advanceChain(log, head, bounds));
    const next = nextAnchor(from, advance, protectedItemId);
    if (next === undefined) return from;
    try {
      const news = newsOf(from, advance.records, { protectedItemId, nowMs: options.nowMs ?? Date.now() });
      const others = await historyWrites(services.table, item, news);
      await moveAnchor(services.table, item, { ...next, from, others });
    } catch (error) {
      if (attempt < mostAttempts && lostRace(error)) continue;
      throw error;
    }
    if (isAtEnd(advance)) return next.to;
  }
}

const bounds = { maxPoints: pointsAtOnce, maxSegments: segmentsAtOnce };

function isAtEnd({ records, defect }: ChainAdvance): boolean {
  const segments = records.reduce((sum, { manifest }) => sum + manifest.segments.length, 0);
  return defect !== undefined || (records.length < pointsAtOnce && segments < segmentsAtOnce);
}

/** Where an advance leads; undefined when nothing is new. Exported for its property tests. */
export function nextAnchor(
  before: Anchor | undefined,
  advance: ChainAdvance,
  protectedItemId: string,
): { points: RecoveryPoint[]; to: Anchor } | undefined {
  const defect = defectOf(before, advance.defect);
  if (advance.records.length === 0 && defect?.detail === before?.defect?.detail) return undefined;
  const points = advance.records.flatMap((record) => pointOf(record, protectedItemId));
  const to: Anchor = {
    ...advance.head,
    ...timesOf(before, points),
    compaction: before?.compaction,
    defect,
  };
  return { points, to };
}

function timesOf(
  before: Anchor | undefined,
  points: readonly RecoveryPoint[],
): Pick<Anchor, 'newest' | 'newestAppConsistentAtMs' | 'firstPointAtMs'> {
  const app = points.findLast(({ consistency }) => consistency === 'AppConsistent');
  return {
    newest: points.map(({ name, sequence, timeMs }) => ({ name, sequence, timeMs })).at(-1) ?? before?.newest,
    newestAppConsistentAtMs: app?.timeMs ?? before?.newestAppConsistentAtMs,
    firstPointAtMs: before?.firstPointAtMs ?? points[0]?.timeMs,
  };
}

/** A point that is not consistent saves progress and is not offered. */
function pointOf(
  { manifest, hash, changedBytes }: ChainAdvance['records'][number],
  protectedItemId: string,
): RecoveryPoint[] {
  const { consistency, sequence } = manifest;
  if (consistency === 'NotConsistent') return [];
  return [
    {
      name: recoveryPointName(protectedItemId, sequence),
      sequence,
      timeMs: Date.parse(manifest.time),
      consistency,
      hash,
      changedBytes,
      uploadedBytes: manifest.segments.reduce((sum, segment) => sum + segment.sizeBytes, 0),
    },
  ];
}

function defectOf(before: Anchor | undefined, defect: Defect | undefined): Anchor['defect'] {
  if (defect === undefined) return undefined;
  const { blob, detail } = defect;
  const known = before?.defect;
  return known?.blob === blob && known.detail === detail ? known : { blob, detail, atMs: Date.now() };
}

function lostRace(error: unknown): boolean {
  return (
    error instanceof DomainError &&
    (error.fault.code === 'PreconditionFailed' || error.fault.code === 'Conflict')
  );
}

async function reaching<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof StoreError) || !error.isRetryable) throw error;
    throw new DomainError(
      { code: 'Unavailable', message: 'Storage can not be reached just now.' },
      { cause: error },
    );
  }
}
