/** A point's manifest: one JSON document, sealed by its last member. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { itemIdBytes, pointKey } from './keys.ts';
import {
  MAX_DISKS,
  MAX_DISK_BYTES,
  MAX_DISK_NUMBER,
  MAX_POINT_BYTES,
  MAX_SEGMENTS_PER_POINT,
  MAX_SEGMENT_BYTES,
  SECTOR_BYTES,
  isSequence,
  pointName,
  segmentName,
} from './layout.ts';
import { refuse } from './replica-error.ts';
import { openDocument, sealJson } from './sealed-json.ts';

const FORMAT = 'secondsite-point/1';

/** SHA-256 in hex. */
export const Hash = z.string().regex(/^[0-9a-f]{64}$/);
export const Sequence = z.number().refine(isSequence);

export const Disk = z.strictObject({
  /** What frames call the disk. Never given to another disk of the item. */
  number: z.int().min(0).max(MAX_DISK_NUMBER),
  id: z.string().min(1).max(1024),
  sizeBytes: z.int().min(SECTOR_BYTES).max(MAX_DISK_BYTES).multipleOf(SECTOR_BYTES),
  sectorBytes: z.union([z.literal(512), z.literal(4096)]),
});

/** A segment as documents name it, whatever its name is. */
export const SegmentEntry = z.strictObject({
  sequence: Sequence,
  name: z.string(),
  sizeBytes: z.int().min(1).max(MAX_SEGMENT_BYTES),
  sha256: Hash,
  mac: Hash,
});

const Segment = SegmentEntry.refine((segment) => segment.name === segmentName(segment.sequence));

const Manifest = z.strictObject({
  format: z.literal(FORMAT),
  itemId: z.string().min(1),
  sequence: Sequence,
  /** Hash of the manifest before; of the genesis text for the first. */
  previous: Hash,
  /** `NotConsistent`: the disks' blocks are of different moments; such a point saves progress and is not offered. */
  consistency: z.enum(['CrashConsistent', 'AppConsistent', 'NotConsistent']),
  /** The moment the disks were as the point has them, UTC. */
  time: z.iso.datetime({ precision: 3 }),
  disks: z.array(Disk).min(1).max(MAX_DISKS).refine(areDistinct),
  /** Written since the point before, oldest first. */
  segments: z.array(Segment).max(MAX_SEGMENTS_PER_POINT).refine(isAscending),
});

export type PointManifest = z.infer<typeof Manifest>;
export type PointDisk = z.infer<typeof Disk>;
export type Consistency = PointManifest['consistency'];

/** The end of a chain: what the control plane anchors outside the container. */
export interface ChainHead {
  /** 0 before the first point. */
  sequence: number;
  /** Hex, SHA-256 of the manifest's bytes. */
  hash: string;
}

/** The head of a chain that has no point yet; the first manifest's `previous`. */
export function genesisHead(itemId: string): ChainHead {
  const text = Buffer.concat([Buffer.from('secondsite/genesis/1\0'), itemIdBytes(itemId)]);
  return { sequence: 0, hash: createHash('sha256').update(text).digest('hex') };
}

/** What hashes a manifest in the chain. */
export function hashPoint(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Writes a manifest's bytes. Throws a ZodError where it breaks the format's rules. */
export function encodePoint(manifest: Omit<PointManifest, 'format'>, dataKey: Uint8Array): Buffer {
  const bytes = sealJson(Manifest.parse({ format: FORMAT, ...manifest }), pointKey(dataKey, manifest.itemId));
  if (bytes.length > MAX_POINT_BYTES)
    throw new RangeError(`the manifest has ${bytes.length} bytes: close points sooner`);
  return bytes;
}

/**
 * Reads a manifest that should be this item's point of that sequence.
 *
 * @throws ReplicaError where it is not.
 */
export function decodePoint(
  bytes: Buffer,
  expected: { itemId: string; dataKey: Uint8Array; sequence: number },
): PointManifest {
  const { itemId, dataKey, sequence } = expected;
  const name = pointName(sequence);
  const parsed = openDocument(bytes, { name, itemId, key: pointKey(dataKey, itemId), schema: Manifest });
  if (parsed.sequence !== sequence) return refuse('WrongSequence', name, `it holds point ${parsed.sequence}`);
  return parsed;
}

/** Whether no two disks share a number or an id. */
export function areDistinct(disks: readonly { number: number; id: string }[]): boolean {
  const numbers = new Set(disks.map((disk) => disk.number));
  return numbers.size === disks.length && new Set(disks.map((disk) => disk.id)).size === disks.length;
}

function isAscending(segments: readonly { sequence: number }[]): boolean {
  return segments.every((segment, at) => at === 0 || segment.sequence > (segments[at - 1]?.sequence ?? 0));
}
