/**
 * What a compaction writes beside segments. A layer is a list of segments. A record stands for the beginning of the
 * chain: which of its points are kept, and for each the layers since the kept one before. Both are sealed as points
 * are, under a key of their own.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { compactionKey } from './keys.ts';
import {
  MAX_COMPACTED_POINTS,
  MAX_DISKS,
  MAX_LAYERS_PER_POINT,
  MAX_POINT_BYTES,
  MAX_SEGMENTS_PER_POINT,
  MAX_SEQUENCE,
  compactionName,
  layerName,
  mergedSegmentName,
  segmentName,
} from './layout.ts';
import { Disk, Hash, SegmentEntry, Sequence, areDistinct } from './point.ts';
import { refuse } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import { openDocument, sealJson } from './sealed-json.ts';
import type { SegmentReference } from './segment-reader.ts';

const LAYER_FORMAT = 'secondsite-layer/1';
const COMPACTION_FORMAT = 'secondsite-compaction/1';

const Layer = z.strictObject({
  format: z.literal(LAYER_FORMAT),
  itemId: z.string().min(1),
  number: Sequence,
  /** Oldest first: of overlapping extents that of the later segment counts. */
  segments: z.array(SegmentEntry.refine(isNamed)).min(1).max(MAX_SEGMENTS_PER_POINT).refine(areDifferent),
});

const LayerReference = z.strictObject({
  number: Sequence,
  /** Of the layer's bytes. */
  hash: Hash,
  /** How many segments it names, and their bytes. */
  segments: z.int().min(1).max(MAX_SEGMENTS_PER_POINT),
  sizeBytes: z.int().min(1),
  /** Whether little of it is hidden by itself or by the layers before: what follows it is measured against it. */
  settled: z.boolean(),
});
export type LayerReference = z.infer<typeof LayerReference>;

const CompactedPoint = z.strictObject({
  sequence: Sequence,
  /** Of its manifest, as the chain had it. */
  hash: Hash,
  consistency: z.enum(['CrashConsistent', 'AppConsistent', 'NotConsistent']),
  time: z.iso.datetime({ precision: 3 }),
  disks: z.array(Disk).min(1).max(MAX_DISKS).refine(areDistinct),
  /** What was written since the kept point before, oldest first. */
  layers: z.array(LayerReference).max(MAX_LAYERS_PER_POINT),
});
export type CompactedPoint = z.infer<typeof CompactedPoint>;

const DroppedPoint = z.strictObject({
  sequence: Sequence,
  hash: Hash,
  time: z.iso.datetime({ precision: 3 }),
});
export type DroppedPoint = z.infer<typeof DroppedPoint>;

const Record = z
  .strictObject({
    format: z.literal(COMPACTION_FORMAT),
    itemId: z.string().min(1),
    number: Sequence,
    /** The record that was in force before; null for the first. */
    previous: z.strictObject({ number: Sequence, hash: Hash }).nullable(),
    /** The point of the chain that it goes up to; the chain continues from it. */
    head: z.strictObject({ sequence: Sequence, hash: Hash }),
    /** The highest segment of the chain up to the head, 0 where there is none: later points name higher ones only. */
    lastSegment: z.int().min(0).max(MAX_SEQUENCE),
    /** When it was made, UTC. */
    time: z.iso.datetime({ precision: 3 }),
    /** The points that are kept, oldest first; the last one is the head. */
    points: z.array(CompactedPoint).min(1).max(MAX_COMPACTED_POINTS),
    /** The points that were there before this record and can not be restored by it any more. */
    dropped: z.array(DroppedPoint).max(MAX_COMPACTED_POINTS),
  })
  .refine(({ previous, number }) => previous === null || previous.number < number)
  .refine(({ points }) => isAscending(points))
  .refine(
    ({ points, head }) => points.at(-1)?.sequence === head.sequence && points.at(-1)?.hash === head.hash,
  );
export type CompactionRecord = z.infer<typeof Record>;

/** A record as the control plane anchors it outside the container. */
export interface CompactionHead {
  number: number;
  /** Hex, SHA-256 of the record's bytes. */
  hash: string;
}

/** A blob's bytes, ready to be written, and their hash. */
export interface PreparedDocument {
  name: string;
  bytes: Buffer;
  hash: string;
}

type Identity = Pick<ReplicaLog, 'itemId' | 'dataKey'>;

/** Writes a layer's bytes. Throws a ZodError where it breaks the format's rules. */
export function encodeLayer(
  identity: Identity,
  number: number,
  segments: readonly SegmentReference[],
): PreparedDocument {
  const { itemId } = identity;
  const entries = segments.map(({ sequence, name, sizeBytes, sha256, mac }) => ({
    sequence,
    name,
    sizeBytes,
    sha256,
    mac,
  }));
  const layer = Layer.parse({ format: LAYER_FORMAT, itemId, number, segments: entries });
  return prepared(identity, layerName(number), layer);
}

/** Writes a record's bytes. Throws a ZodError where it breaks the format's rules. */
export function encodeCompaction(
  identity: Identity,
  draft: Omit<CompactionRecord, 'format' | 'itemId'>,
): PreparedDocument {
  const record = Record.parse({ format: COMPACTION_FORMAT, itemId: identity.itemId, ...draft });
  return prepared(identity, compactionName(draft.number), record);
}

/**
 * Reads a record. With the hash that is anchored it is the one that counts, without it is one that was written once.
 *
 * @throws ReplicaError naming it.
 */
export async function readCompaction(
  log: ReplicaLog,
  { number, hash }: { number: number; hash?: string },
): Promise<{ record: CompactionRecord; head: CompactionHead }> {
  const name = compactionName(number);
  const bytes = await log.store.find(name, MAX_POINT_BYTES);
  if (bytes === undefined) return refuse('Missing', name, 'the store has no such blob');
  const record = openDocument(bytes, { name, itemId: log.itemId, key: keyOf(log), schema: Record });
  if (record.number !== number) return refuse('WrongSequence', name, `it holds compaction ${record.number}`);
  const found = sha256(bytes);
  if (hash !== undefined && found !== hash)
    return refuse('Replaced', name, 'its hash is not the anchored one');
  return { record, head: { number, hash: found } };
}

/**
 * Reads a layer that a record names.
 *
 * @throws ReplicaError naming it.
 */
export async function readLayer(log: ReplicaLog, reference: LayerReference): Promise<SegmentReference[]> {
  const { number, hash } = reference;
  const name = layerName(number);
  const bytes = await log.store.find(name, MAX_POINT_BYTES);
  if (bytes === undefined) return refuse('Missing', name, 'the store has no such blob');
  const layer = openDocument(bytes, { name, itemId: log.itemId, key: keyOf(log), schema: Layer });
  if (layer.number !== number) return refuse('WrongSequence', name, `it holds layer ${layer.number}`);
  if (sha256(bytes) !== hash) return refuse('Replaced', name, 'it is not the layer that the record names');
  const sizeBytes = layer.segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
  const agrees = layer.segments.length === reference.segments && sizeBytes === reference.sizeBytes;
  return agrees ? layer.segments : refuse('Malformed', name, 'it does not hold what the record says it does');
}

function prepared(identity: Identity, name: string, value: object): PreparedDocument {
  const bytes = sealJson(value, keyOf(identity));
  if (bytes.length > MAX_POINT_BYTES) throw new RangeError(`${name} would have ${bytes.length} bytes`);
  return { name, bytes, hash: sha256(bytes) };
}

function keyOf({ dataKey, itemId }: Identity): Buffer {
  return compactionKey(dataKey, itemId);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function isNamed({ sequence, name }: { sequence: number; name: string }): boolean {
  return name === segmentName(sequence) || name === mergedSegmentName(sequence);
}

function areDifferent(segments: readonly { name: string }[]): boolean {
  return new Set(segments.map(({ name }) => name)).size === segments.length;
}

function isAscending(points: readonly { sequence: number }[]): boolean {
  return points.every((point, at) => at === 0 || point.sequence > (points[at - 1]?.sequence ?? 0));
}
