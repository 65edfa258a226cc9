import { createHash } from 'node:crypto';
import { byPoint, checkExtents, findBrokenLinks, findBrokenRules } from './chain-rules.ts';
import type { ChainStart, PointRecord, PointState, PointView } from './chain-rules.ts';
import { readPoint } from './chain.ts';
import { findCompaction, lookAtCompacted } from './compacted-chain.ts';
import type { FoundCompaction } from './compacted-chain.ts';
import type { CompactionHead } from './compaction-record.ts';
import { forEachOf, inOrder } from './concurrently.ts';
import { FRAME_OVERHEAD_BYTES } from './frame.ts';
import { free } from './free.ts';
import { findSequence, pointName } from './layout.ts';
import { genesisHead } from './point.ts';
import type { ChainHead } from './point.ts';
import { ReplicaError, refuse } from './replica-error.ts';
import type { Defect } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import { openEntry, openSegment, openWholeSegment, refuseSegment } from './segment-reader.ts';
import type { OpenSegment, SegmentReference } from './segment-reader.ts';

const POINTS_AT_ONCE = 16;
const SEGMENTS_AT_ONCE = 4;
/** Missing points named one by one, before they are only counted. */
const MAX_NAMED_GAPS = 1000;

/** How far a verification has come. */
export interface VerifyProgress {
  points: number;
  segmentsDone: number;
  segmentsTotal: number;
  bytesRead: number;
  defects: number;
}

export interface VerifyOptions {
  /**
   * What is kept outside the container: the chain's head, and the compaction in force. Without it a cut tail cannot be
   * seen, and the newest record of a compaction counts.
   */
  anchor?: ChainHead & { compaction?: CompactionHead | undefined };
  /** Reads every byte, compares hashes and opens every frame. Otherwise manifests, sizes and indexes are proven. */
  deep?: boolean;
  /** Points behind this one are not looked at. */
  upTo?: number;
  onProgress?: (progress: VerifyProgress) => void;
  signal?: AbortSignal;
}

export interface Verification {
  points: number;
  segments: number;
  bytesRead: number;
  /** All that is wrong, by the point it hurts first. Empty: the log is whole. */
  defects: Defect[];
  /** The newest point that can be offered: consistent, and hurt by nothing found here; 0 where there is none. */
  lastGoodPoint: number;
}

/**
 * Verifies an item's whole log. Defects are collected, not thrown; memory grows with the number of points and
 * segments, not with their bytes.
 *
 * @throws StoreError where the store does not answer: then nothing is said about the log.
 */
export async function verifyChain(log: ReplicaLog, options: VerifyOptions = {}): Promise<Verification> {
  const { records, defects } = await readViews(log, options);
  const named = records.flatMap(({ manifest }) =>
    manifest.segments.map((reference) => ({ manifest, reference })),
  );
  const progress = {
    points: records.length,
    segmentsDone: 0,
    segmentsTotal: named.length,
    bytesRead: 0,
    defects: 0,
  };
  await forEachOf(named, SEGMENTS_AT_ONCE, async ({ manifest, reference }) => {
    options.signal?.throwIfAborted();
    const found = await defectOf(async () => {
      checkExtents(await proveSegment(log, reference, options.deep === true), manifest);
    });
    if (found !== undefined) defects.push({ ...found, firstPoint: manifest.sequence });
    progress.segmentsDone += 1;
    progress.bytesRead += options.deep === true ? reference.sizeBytes : 0;
    options.onProgress?.({ ...progress, defects: defects.length });
  });
  defects.sort(byPoint);
  const lastGoodPoint = newestGood(records, defects[0]?.firstPoint);
  return {
    points: records.length,
    segments: named.length,
    bytesRead: progress.bytesRead,
    defects,
    lastGoodPoint,
  };
}

interface Views {
  records: PointView[];
  defects: Defect[];
}

/** The points that can be restored: those of the compaction in force, then those that have manifests. */
async function readViews(log: ReplicaLog, options: VerifyOptions): Promise<Views> {
  const { anchor, upTo = Number.POSITIVE_INFINITY } = options;
  let compaction: FoundCompaction | undefined;
  try {
    compaction = await findCompaction(log, anchor === undefined ? undefined : (anchor.compaction ?? null));
  } catch (error) {
    if (!(error instanceof ReplicaError)) throw error;
    return { records: [], defects: [error.defect] };
  }
  if (compaction === undefined) {
    return readPoints(log, { head: genesisHead(log.itemId), lastSegment: 0, points: [] }, options);
  }
  const { record } = compaction;
  const { points, defects } = await lookAtCompacted(log, record, upTo);
  const start = { head: record.head, lastSegment: record.lastSegment, points };
  const later = await readPoints(log, start, options);
  const seam = upTo > record.head.sequence ? await findWrongSeam(log, record.head) : [];
  return { records: [...points, ...later.records], defects: [...defects, ...seam, ...later.defects] };
}

/** The manifest at which a record ends stays: what comes later is proven against it. */
async function findWrongSeam(log: ReplicaLog, { sequence, hash }: ChainHead): Promise<Defect[]> {
  const found = await readOrDefect(log, sequence);
  if ('manifest' in found && found.hash === hash) return [];
  const firstPoint = sequence + 1;
  if (!('manifest' in found)) return [{ ...found, firstPoint }];
  const detail = `the compaction names the hash ${hash}, its own is ${found.hash}`;
  return [{ kind: 'Replaced', blob: pointName(sequence), detail, firstPoint }];
}

/** The points that the chain names, with what is wrong with the others. A stranger's segments are not looked at. */
async function readPoints(
  log: ReplicaLog,
  start: ChainStart,
  { anchor, upTo = Number.POSITIVE_INFINITY, signal }: VerifyOptions,
): Promise<{ records: PointRecord[]; defects: Defect[] }> {
  const from = start.head.sequence;
  const present = (await listPoints(log)).filter((sequence) => sequence > from && sequence <= upTo);
  const defects = missingPoints(present, from, Math.min(anchor?.sequence ?? 0, upTo));
  const records: PointRecord[] = [];
  for await (const found of inOrder(present, POINTS_AT_ONCE, (sequence) => readOrDefect(log, sequence))) {
    signal?.throwIfAborted();
    if ('manifest' in found) records.push(found);
    else defects.push(found);
  }
  const strangers = findBrokenLinks(records, start.head, anchor);
  const named = records.filter(
    ({ manifest }) => !strangers.some((defect) => defect.firstPoint === manifest.sequence),
  );
  defects.push(...strangers, ...findBrokenRules(named, start));
  return { records: named, defects };
}

function newestGood(records: readonly PointView[], firstHurt = Number.POSITIVE_INFINITY): number {
  const isGood = ({ manifest }: { manifest: PointState }): boolean =>
    manifest.sequence < firstHurt && manifest.consistency !== 'NotConsistent';
  return records.findLast(isGood)?.manifest.sequence ?? 0;
}

async function listPoints(log: ReplicaLog): Promise<number[]> {
  const present: number[] = [];
  for await (const { name } of log.store.list('points/')) {
    const sequence = findSequence(name);
    if (sequence !== undefined && sequence > 0) present.push(sequence);
  }
  return present;
}

function missingPoints(present: readonly number[], start: number, anchored: number): Defect[] {
  const defects: Defect[] = [];
  let expected = start + 1;
  for (const sequence of [...present, anchored + 1]) {
    for (; expected < sequence && defects.length < MAX_NAMED_GAPS; expected += 1) {
      defects.push({
        kind: 'Missing',
        blob: pointName(expected),
        detail:
          expected > (present.at(-1) ?? start)
            ? 'the anchored head is behind it: the tail was cut'
            : 'later points are there',
        firstPoint: expected,
      });
    }
    expected = Math.max(expected, sequence + 1);
  }
  return defects;
}

function readOrDefect(log: ReplicaLog, sequence: number): Promise<PointRecord | Defect> {
  return readPoint(log, sequence).catch((error: unknown) => {
    if (error instanceof ReplicaError) return { ...error.defect, firstPoint: sequence };
    throw error;
  });
}

async function proveSegment(
  log: ReplicaLog,
  reference: SegmentReference,
  deep: boolean,
): Promise<OpenSegment> {
  if (!deep) return openSegment(log, reference);
  const range = await log.store.findRange(reference.name, 0, reference.sizeBytes);
  if (range === undefined) return refuse('Missing', reference.name, 'the store has no such blob');
  const { bytes } = range;
  const isSame = range.sizeBytes === reference.sizeBytes && sha256(bytes) === reference.sha256;
  if (!isSame) return refuseSegment(log, reference, 'its SHA-256 is not the one its point names');
  const segment = await openWholeSegment(log, reference, bytes);
  for (const entry of segment.entries) {
    const end = entry.fileOffset + FRAME_OVERHEAD_BYTES + entry.payloadLength;
    free(openEntry(segment, entry, bytes.subarray(entry.fileOffset, end)));
  }
  free(bytes);
  return segment;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function defectOf(work: () => Promise<void>): Promise<Defect | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof ReplicaError) return error.defect;
    throw error;
  }
}
