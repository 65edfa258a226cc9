/** The part of a chain that a compaction's record stands for, as readers see it. */
import type { ChainStart, PointView } from './chain-rules.ts';
import { readCompaction, readLayer } from './compaction-record.ts';
import type { CompactedPoint, CompactionHead, CompactionRecord } from './compaction-record.ts';
import { inOrder } from './concurrently.ts';
import { findCompactionNumber } from './layout.ts';
import { genesisHead } from './point.ts';
import { ReplicaError } from './replica-error.ts';
import type { Defect } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import type { SegmentReference } from './segment-reader.ts';

const LAYERS_AT_ONCE = 16;

/** A record and its hash. */
export interface FoundCompaction {
  record: CompactionRecord;
  head: CompactionHead;
}

/**
 * The record that is in force: the anchored one (null: there is none, whatever lies in the container), or without an
 * anchor the newest there is. Undefined where there is none.
 *
 * @throws ReplicaError naming it where it is wrong: then no point can be told.
 */
export async function findCompaction(
  log: ReplicaLog,
  anchored?: CompactionHead | null,
): Promise<FoundCompaction | undefined> {
  const wanted = anchored === undefined ? await findNewest(log) : anchored;
  if (wanted === undefined || wanted === null) return undefined;
  try {
    return await readCompaction(log, wanted);
  } catch (error) {
    throw error instanceof ReplicaError ? new ReplicaError({ ...error.defect, firstPoint: 1 }) : error;
  }
}

/** Where the chain of manifests begins. @throws ReplicaError naming the first layer that is wrong. */
export async function readStart(
  log: ReplicaLog,
  compaction: FoundCompaction | undefined,
): Promise<ChainStart> {
  const start = startOf(log, compaction);
  if (compaction === undefined) return start;
  return { ...start, points: await readCompacted(log, compaction.record, start.head.sequence) };
}

/** Like `readStart`, from the record alone: its points are left without segments. */
export function startOf(log: ReplicaLog, compaction: FoundCompaction | undefined): ChainStart {
  if (compaction === undefined) return { head: genesisHead(log.itemId), lastSegment: 0, points: [] };
  const { record } = compaction;
  const points = record.points.map((point) => viewOf(point, []));
  return { head: record.head, lastSegment: record.lastSegment, points };
}

/** The kept points of a record up to one of them. @throws ReplicaError naming the first layer that is wrong. */
export async function readCompacted(
  log: ReplicaLog,
  record: CompactionRecord,
  upTo: number,
): Promise<PointView[]> {
  const { points, defects } = await lookAtCompacted(log, record, upTo);
  const [defect] = defects;
  if (defect !== undefined) throw new ReplicaError(defect);
  return points;
}

/** Like `readCompacted`, but goes on: a point whose layers are wrong is left without the segments they name. */
export async function lookAtCompacted(
  log: ReplicaLog,
  record: CompactionRecord,
  upTo: number,
): Promise<{ points: PointView[]; defects: Defect[] }> {
  const kept = record.points.filter(({ sequence }) => sequence <= upTo);
  const wanted = kept.flatMap((point) => point.layers.map((layer) => ({ point, layer })));
  const segments = new Map<number, SegmentReference[]>(kept.map(({ sequence }) => [sequence, []]));
  const defects: Defect[] = [];
  const read = inOrder(wanted, LAYERS_AT_ONCE, async ({ point, layer }) => ({
    point,
    found: await readLayer(log, layer).catch((error: unknown) => defectOr(error, point.sequence)),
  }));
  for await (const { point, found } of read) {
    if (Array.isArray(found)) segments.get(point.sequence)?.push(...found);
    else defects.push(found);
  }
  return { points: kept.map((point) => viewOf(point, segments.get(point.sequence) ?? [])), defects };
}

function viewOf(point: CompactedPoint, segments: readonly SegmentReference[]): PointView {
  const { sequence, hash, consistency, time, disks } = point;
  return { manifest: { sequence, consistency, time, disks, segments, isCompacted: true }, hash };
}

function defectOr(error: unknown, firstPoint: number): Defect {
  if (error instanceof ReplicaError) return { ...error.defect, firstPoint };
  throw error;
}

async function findNewest(log: ReplicaLog): Promise<{ number: number } | undefined> {
  let newest: number | undefined;
  for await (const { name } of log.store.list('compactions/')) newest = findCompactionNumber(name) ?? newest;
  return newest === undefined ? undefined : { number: newest };
}
