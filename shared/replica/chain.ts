import { createHash } from 'node:crypto';
import { byPoint, checkExtents, findBrokenLinks, findBrokenRules } from './chain-rules.ts';
import type { PointRecord, PointView } from './chain-rules.ts';
import { findCompaction, readCompacted, readStart } from './compacted-chain.ts';
import type { FoundCompaction } from './compacted-chain.ts';
import type { CompactionHead } from './compaction-record.ts';
import { inOrder } from './concurrently.ts';
import { MAX_POINT_BYTES, SECTOR_BYTES, compactionName, pointName } from './layout.ts';
import { decodePoint, encodePoint, hashPoint } from './point.ts';
import type { ChainHead, Consistency, PointDisk, PointManifest } from './point.ts';
import { ReplicaError, refuse } from './replica-error.ts';
import type { Defect } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import { openSegment } from './segment-reader.ts';
import type { SegmentReference } from './segment-reader.ts';

const POINTS_AT_ONCE = 16;
const DEFAULT_MAX_POINTS = 100;

/** A point to be made: what is true at it, and the segments written since the head. */
export interface PointDraft {
  head: ChainHead;
  consistency: Consistency;
  time: Date;
  disks: readonly PointDisk[];
  segments: readonly SegmentReference[];
}

/** A manifest's bytes, ready to be kept in a spool and uploaded; `head` is the chain's head once it is. */
export interface PreparedPoint {
  name: string;
  bytes: Buffer;
  /** Base64. */
  md5: string;
  head: ChainHead;
}

/** Builds the manifest of the next point. Has no effects: keep the bytes durably, then upload them. */
export function preparePoint(
  identity: { itemId: string; dataKey: Uint8Array },
  draft: PointDraft,
): PreparedPoint {
  const sequence = draft.head.sequence + 1;
  const manifest = {
    itemId: identity.itemId,
    sequence,
    previous: draft.head.hash,
    consistency: draft.consistency,
    time: draft.time.toISOString(),
    disks: draft.disks.map(({ number, id, sizeBytes, sectorBytes }) => ({
      number,
      id,
      sizeBytes,
      sectorBytes,
    })),
    segments: draft.segments.map(({ sequence, name, sizeBytes, sha256, mac }) => ({
      sequence,
      name,
      sizeBytes,
      sha256,
      mac,
    })),
  };
  const bytes = encodePoint(manifest, identity.dataKey);
  const md5 = createHash('md5').update(bytes).digest('base64');
  return { name: pointName(sequence), bytes, md5, head: { sequence, hash: hashPoint(bytes) } };
}

/**
 * Publishes the next point. Its segments must be in the store already.
 *
 * @throws Error where the store has another point of that sequence.
 */
export async function writePoint(log: ReplicaLog, draft: PointDraft): Promise<ChainHead> {
  const point = preparePoint(log, draft);
  const outcome = await log.store.putIfAbsent(point.name, point.bytes, { md5: point.md5 });
  if (outcome === 'exists') {
    const present = await log.store.find(point.name, MAX_POINT_BYTES);
    if (present === undefined || !present.equals(point.bytes)) {
      throw new Error(`${point.name} exists already and is another point: two writers, or an old head`);
    }
  }
  return point.head;
}

/**
 * Reads and proves one manifest. It proves its own text, not its place in the chain.
 *
 * @throws ReplicaError naming what is wrong.
 */
export async function readPoint(log: ReplicaLog, sequence: number): Promise<PointRecord> {
  const name = pointName(sequence);
  const bytes = await log.store.find(name, MAX_POINT_BYTES);
  if (bytes === undefined) return refuse('Missing', name, 'the store has no such blob');
  const manifest = decodePoint(bytes, { itemId: log.itemId, dataKey: log.dataKey, sequence });
  return { manifest, hash: hashPoint(bytes) };
}

/**
 * Reads every point that can be restored, from the first to `to`, and proves their chain. Where `to` has a hash (from
 * an anchor or a recovery point's record) the whole chain is tied to it, and to the anchored compaction if it has one.
 * Without that the newest record of a compaction counts.
 *
 * @throws ReplicaError naming the first blob that is wrong.
 */
export async function readChain(log: ReplicaLog, to: ReadTo): Promise<PointView[]> {
  const compaction = await findCompaction(log, to.compaction);
  if (compaction !== undefined && to.sequence <= compaction.record.head.sequence) {
    return readCompactedTo(log, compaction, to);
  }
  const start = await readStart(log, compaction);
  const records: PointRecord[] = [];
  const first = start.head.sequence + 1;
  const sequences = Array.from({ length: to.sequence + 1 - first }, (_, at) => first + at);
  for await (const record of inOrder(sequences, POINTS_AT_ONCE, (sequence) => readPoint(log, sequence))) {
    records.push(record);
  }
  const [defect] = [
    ...findBrokenLinks(records, start.head, headOf(to)),
    ...findBrokenRules(records, start),
  ].sort(byPoint);
  if (defect !== undefined) throw new ReplicaError(defect);
  return [...start.points, ...records];
}

/** Up to where a chain is read, and what is known of it from outside the container. */
export interface ReadTo {
  sequence: number;
  hash?: string;
  /** Null: the anchor says that there is none. */
  compaction?: CompactionHead | null;
}

async function readCompactedTo(
  log: ReplicaLog,
  { record }: FoundCompaction,
  { sequence, hash }: ReadTo,
): Promise<PointView[]> {
  const kept = record.points.find((point) => point.sequence === sequence);
  if (kept === undefined) {
    const detail = `it is not kept any more: ${compactionName(record.number)} stands for it`;
    throw new ReplicaError({ kind: 'Missing', blob: pointName(sequence), detail, firstPoint: sequence });
  }
  if (hash !== undefined && kept.hash !== hash) {
    const detail = `${compactionName(record.number)} names the hash ${kept.hash}, not ${hash}`;
    throw new ReplicaError({ kind: 'Replaced', blob: pointName(sequence), detail, firstPoint: sequence });
  }
  return readCompacted(log, record, sequence);
}

/** A point whose segments' indexes were proven too. */
export interface ProvenPoint extends PointRecord {
  /** Bytes of the disks that its segments write, zeros included. */
  changedBytes: number;
  /** The same, by the disk's number. */
  changedByDisk: ReadonlyMap<number, number>;
}

/** What a control plane does when news come: reads on from the head it has anchored. */
export interface ChainAdvance {
  head: ChainHead;
  /** The new points, proven, with their segments' indexes. */
  records: ProvenPoint[];
  /** Why it went no further, where something is wrong; undefined where the chain simply ends. */
  defect: Defect | undefined;
}

/**
 * Reads the points behind an anchored head, and proves each and the indexes of its segments. Anchor the new head.
 * Bounded: where `maxPoints` were read, or points of `maxSegments`, there may be more.
 */
export async function advanceChain(
  log: ReplicaLog,
  head: ChainHead,
  options: { maxPoints?: number; maxSegments?: number } = {},
): Promise<ChainAdvance> {
  const { maxPoints = DEFAULT_MAX_POINTS, maxSegments = Infinity } = options;
  const records: ProvenPoint[] = [];
  let last = head;
  let segments = 0;
  try {
    let before = head.sequence === 0 ? undefined : await readAnchored(log, head);
    while (records.length < maxPoints && segments < maxSegments) {
      const record = await readNext(log, last);
      if (record === undefined) break;
      const [broken] = findBrokenRules(before === undefined ? [record] : [before, record]);
      if (broken !== undefined) throw new ReplicaError(broken);
      const changedByDisk = await proveSegments(log, record.manifest);
      const changedBytes = [...changedByDisk.values()].reduce((sum, bytes) => sum + bytes, 0);
      records.push({ ...record, changedBytes, changedByDisk });
      before = record;
      segments += record.manifest.segments.length;
      last = { sequence: record.manifest.sequence, hash: record.hash };
    }
  } catch (error) {
    if (!(error instanceof ReplicaError)) throw error;
    return { head: last, records, defect: { ...error.defect, firstPoint: last.sequence + 1 } };
  }
  return { head: last, records, defect: undefined };
}

function headOf({ sequence, hash }: { sequence: number; hash?: string }): ChainHead | undefined {
  return hash === undefined ? undefined : { sequence, hash };
}

async function readAnchored(log: ReplicaLog, head: ChainHead): Promise<PointRecord> {
  const record = await readPoint(log, head.sequence);
  if (record.hash !== head.hash)
    refuse('Replaced', pointName(head.sequence), 'its hash is not the anchored one');
  return record;
}

async function readNext(log: ReplicaLog, head: ChainHead): Promise<PointRecord | undefined> {
  const sequence = head.sequence + 1;
  const bytes = await log.store.find(pointName(sequence), MAX_POINT_BYTES);
  if (bytes === undefined) return undefined;
  const manifest = decodePoint(bytes, { itemId: log.itemId, dataKey: log.dataKey, sequence });
  if (manifest.previous !== head.hash) {
    refuse('Replaced', pointName(sequence), 'it does not follow the anchored head');
  }
  return { manifest, hash: hashPoint(bytes) };
}

/** Answers how many bytes of each disk the point's segments write. */
async function proveSegments(log: ReplicaLog, manifest: PointManifest): Promise<Map<number, number>> {
  const bytes = new Map<number, number>();
  for await (const segment of inOrder(manifest.segments, POINTS_AT_ONCE, (named) =>
    openSegment(log, named),
  )) {
    checkExtents(segment, manifest);
    for (const { disk, sectorCount } of segment.entries) {
      bytes.set(disk, (bytes.get(disk) ?? 0) + sectorCount * SECTOR_BYTES);
    }
  }
  return bytes;
}
