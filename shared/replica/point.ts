/**
 * A point's manifest: one JSON document whose last member is the MAC of every byte before it.
 * It is authenticated before it is parsed.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
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

const FORMAT = 'secondsite-point/1';
const TAIL = /^,"mac":"([0-9a-f]{64})"\}\n$/;
const TAIL_BYTES = 75;

const Hash = z.string().regex(/^[0-9a-f]{64}$/);
const Sequence = z.number().refine(isSequence);

const Disk = z.strictObject({
  /** What frames call the disk. Never given to another disk of the item. */
  number: z.int().min(0).max(MAX_DISK_NUMBER),
  id: z.string().min(1).max(1024),
  sizeBytes: z.int().min(SECTOR_BYTES).max(MAX_DISK_BYTES).multipleOf(SECTOR_BYTES),
  sectorBytes: z.union([z.literal(512), z.literal(4096)]),
});

const Segment = z
  .strictObject({
    sequence: Sequence,
    name: z.string(),
    sizeBytes: z.int().min(1).max(MAX_SEGMENT_BYTES),
    sha256: Hash,
    mac: Hash,
  })
  .refine((segment) => segment.name === segmentName(segment.sequence));

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
  const json = JSON.stringify(Manifest.parse({ format: FORMAT, ...manifest }));
  const body = Buffer.from(json.slice(0, -1));
  const bytes = Buffer.concat([
    body,
    Buffer.from(`,"mac":"${mac(body, dataKey, manifest.itemId).toString('hex')}"}\n`),
  ]);
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
  const name = pointName(expected.sequence);
  const body = bytes.subarray(0, Math.max(0, bytes.length - TAIL_BYTES));
  const tail = TAIL.exec(bytes.toString('latin1', body.length));
  const found = tail?.[1];
  if (
    found === undefined ||
    !timingSafeEqual(mac(body, expected.dataKey, expected.itemId), Buffer.from(found, 'hex'))
  ) {
    return refuseUnproven(bytes, body, expected);
  }
  const parsed = Manifest.safeParse(parseJson(`${body.toString('utf8')}}`));
  if (!parsed.success) return refuse('Malformed', name, 'it is authentic but breaks the format');
  if (parsed.data.itemId !== expected.itemId)
    return refuse('WrongItem', name, `it is of ${parsed.data.itemId}`);
  if (parsed.data.sequence !== expected.sequence) {
    return refuse('WrongSequence', name, `it holds point ${parsed.data.sequence}`);
  }
  return parsed.data;
}

/** Names what an unproven manifest claims to be; the claim is only used to say what is wrong. */
function refuseUnproven(bytes: Buffer, body: Buffer, expected: { itemId: string; sequence: number }): never {
  const name = pointName(expected.sequence);
  const claim = z.object({ itemId: z.string().max(1024) }).safeParse(parseJson(`${body.toString('utf8')}}`));
  if (claim.success && claim.data.itemId !== expected.itemId)
    refuse('WrongItem', name, `it is of ${claim.data.itemId}`);
  const isWhole = bytes.subarray(-2).equals(Buffer.from('}\n'));
  if (!isWhole) refuse('Truncated', name, `its ${bytes.length} bytes do not end as a manifest does`);
  return refuse('Altered', name, 'its MAC does not agree with its text, or it was made with another key');
}

function mac(body: Uint8Array, dataKey: Uint8Array, itemId: string): Buffer {
  return createHmac('sha256', pointKey(dataKey, itemId)).update(body).digest();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function areDistinct(disks: readonly { number: number; id: string }[]): boolean {
  const numbers = new Set(disks.map((disk) => disk.number));
  return numbers.size === disks.length && new Set(disks.map((disk) => disk.id)).size === disks.length;
}

function isAscending(segments: readonly { sequence: number }[]): boolean {
  return segments.every((segment, at) => at === 0 || segment.sequence > (segments[at - 1]?.sequence ?? 0));
}
