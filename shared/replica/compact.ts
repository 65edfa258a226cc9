/**
 * One step of compaction: reads the beginning of a chain of which some points are not kept any more, and writes a record
 * that stands for it. Nothing is changed or deleted; the record counts from when its head is anchored. Whatever a step
 * that fails leaves behind is in nobody's way: its names are its own, and the collection finds it.
 */
import { findBrokenLinks, findBrokenRules } from './chain-rules.ts';
import type { ChainStart, PointRecord } from './chain-rules.ts';
import { readPoint } from './chain.ts';
import { findCompaction, startOf } from './compacted-chain.ts';
import type { FoundCompaction } from './compacted-chain.ts';
import { encodeCompaction, readCompaction } from './compaction-record.ts';
import type { CompactionHead, CompactionRecord, DroppedPoint } from './compaction-record.ts';
import { groupEntries } from './compaction-groups.ts';
import type { Entry, PointGroup } from './compaction-groups.ts';
import { inOrder } from './concurrently.ts';
import type { FramePool } from './frame-pool.ts';
import { GroupCompactor } from './group-compactor.ts';
import type { ChainHead } from './point.ts';
import { ReplicaError } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';

const POINTS_AT_ONCE = 16;
/** Manifests of the chain that one step takes in. */
const MAX_POINTS = 1_000;

/** First numbers of what a step may write. Nobody else ever uses these and those that follow, for as long as it runs. */
export interface ReservedNumbers {
  compaction: number;
  layer: number;
  segment: number;
}

/** What a step is to do. */
export interface CompactionRequest {
  log: ReplicaLog;
  /** The anchored head of the chain. */
  head: ChainHead;
  /** The compaction that is in force. */
  current: CompactionHead | undefined;
  /** The points that must stay restorable: the hash of each by its sequence. All others of the log may go. */
  kept: ReadonlyMap<number, string>;
  /** Points that are not kept and are younger stay in the chain for now: they cost little, and more will come. */
  coverBeforeMs: number;
  numbers: ReservedNumbers;
  /** Bytes of segments that one step may write; a step that has something to rewrite rewrites two at least. */
  budgetBytes: number;
  nowMs: number;
  pool?: FramePool;
  signal?: AbortSignal;
}

/** A step that wrote a record. */
export interface CompactionStep {
  /** To be anchored. */
  compaction: CompactionHead;
  dropped: readonly DroppedPoint[];
  /** Bytes of segments that were written. */
  writtenBytes: number;
  /** Whether nothing is left to do; otherwise the next step goes on from here. */
  isComplete: boolean;
}

/**
 * Does one step. Undefined where there is nothing to do.
 *
 * @throws ReplicaError naming the blob that is wrong: a damaged log is left as it is.
 */
export async function compact(request: CompactionRequest): Promise<CompactionStep | undefined> {
  const current = request.current && (await findCompaction(request.log, request.current));
  const chain = await readCovered(request, current);
  const entries = entriesOf(current?.record, chain.records);
  const groups = groupEntries(entries, (sequence) => request.kept.has(sequence));
  const compactor = new GroupCompactor(request, groups);
  if (entries.length === 0 || (chain.records.length === 0 && !compactor.hasWork)) return undefined;
  const { points, writtenBytes, isComplete } = await compactor.run();
  const dropped = droppedOf(entries, groups);
  const newest = points.at(-1);
  if (newest === undefined) return undefined;
  const document = encodeCompaction(request.log, {
    number: request.numbers.compaction,
    previous: request.current ?? null,
    head: { sequence: newest.sequence, hash: newest.hash },
    lastSegment: lastSegmentOf(chain.records) ?? current?.record.lastSegment ?? 0,
    time: new Date(request.nowMs).toISOString(),
    points,
    dropped,
  });
  await compactor.put(document);
  const compaction = { number: request.numbers.compaction, hash: document.hash };
  await readCompaction(request.log, compaction); // as everybody will from now on
  return { compaction, dropped, writtenBytes, isComplete: isComplete && chain.isWhole };
}

interface Covered {
  records: PointRecord[];
  /** Whether all points that may be covered are. */
  isWhole: boolean;
}

/**
 * The manifests that go into the record: up to the first kept point after the last one that may go; where none is kept
 * after it, up to itself.
 */
async function readCovered(
  { log, head, kept, coverBeforeMs, signal }: CompactionRequest,
  current: FoundCompaction | undefined,
): Promise<Covered> {
  const start = startOf(log, current);
  const first = start.head.sequence + 1;
  const count = Math.min(head.sequence + 1 - first, MAX_POINTS);
  const sequences = Array.from({ length: count }, (_, at) => first + at);
  const records: PointRecord[] = [];
  for await (const record of inOrder(sequences, POINTS_AT_ONCE, (sequence) => readPoint(log, sequence))) {
    signal?.throwIfAborted();
    records.push(record);
  }
  const mayGo = ({ manifest }: PointRecord): boolean =>
    !kept.has(manifest.sequence) && Date.parse(manifest.time) < coverBeforeMs;
  const lastToGo = records.findLastIndex(mayGo);
  const isKept = ({ manifest }: PointRecord): boolean => kept.has(manifest.sequence);
  const next = lastToGo < 0 ? -1 : records.findIndex((record, at) => at > lastToGo && isKept(record));
  const covered = records.slice(0, (next < 0 ? lastToGo : next) + 1);
  prove(covered, start, { kept, head });
  return { records: covered, isWhole: first + count > head.sequence };
}

/** The last one is tied to what the control plane has recorded of it, and by it all others. @throws ReplicaError */
function prove(
  records: readonly PointRecord[],
  start: ChainStart,
  { kept, head }: Pick<CompactionRequest, 'kept' | 'head'>,
): void {
  const sequence = records.at(-1)?.manifest.sequence;
  if (sequence === undefined) return;
  const hash = kept.get(sequence) ?? (sequence === head.sequence ? head.hash : undefined);
  const recorded = hash === undefined ? undefined : { sequence, hash };
  const [defect] = [...findBrokenLinks(records, start.head, recorded), ...findBrokenRules(records, start)];
  if (defect !== undefined) throw new ReplicaError(defect);
}

function entriesOf(record: CompactionRecord | undefined, chain: readonly PointRecord[]): Entry[] {
  const compacted = (record?.points ?? []).map((point): Entry => ({ point, segments: [] }));
  const others = chain.map(({ manifest, hash }): Entry => {
    const { sequence, consistency, time, disks, segments } = manifest;
    return { point: { sequence, hash, consistency, time, disks, layers: [] }, segments };
  });
  return [...compacted, ...others];
}

function droppedOf(entries: readonly Entry[], groups: readonly PointGroup[]): DroppedPoint[] {
  const kept = new Set(groups.map(({ point }) => point.sequence));
  return entries
    .filter(({ point }) => !kept.has(point.sequence))
    .map(({ point: { sequence, hash, time } }) => ({ sequence, hash, time }));
}

function lastSegmentOf(records: readonly PointRecord[]): number | undefined {
  return records.flatMap(({ manifest }) => manifest.segments).at(-1)?.sequence;
}
