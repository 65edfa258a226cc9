import { GiB, KiB, MiB } from '../bytes.ts';

/** Version of segments and points that this code writes and the only one it reads. */
export const FORMAT_VERSION = 1;

/** The log counts disk positions in units of 512 bytes, whatever the disk's own sector size is. */
export const SECTOR_BYTES = 512;

/** Data bytes of one frame at most. A zero extent carries no bytes and may be as long as a u32 of sectors says. */
export const MAX_FRAME_DATA_BYTES = 4 * MiB;
export const MAX_SECTORS_PER_FRAME = 0xffff_ffff;

/** Bytes of one segment at most. 8 to 16 MiB is what writers should aim for. */
export const MAX_SEGMENT_BYTES = 64 * MiB;
export const MAX_FRAMES_PER_SEGMENT = 256 * KiB;
export const MAX_INDEX_BYTES = 16 * MiB;

export const MAX_POINT_BYTES = 16 * MiB;
export const MAX_SEGMENTS_PER_POINT = 32 * KiB;
export const MAX_DISKS = 256;
export const MAX_DISK_NUMBER = 0xffff;
export const MAX_DISK_BYTES = 1024 * 1024 * GiB;
export const MAX_ITEM_ID_BYTES = 1024;
export const MAX_SEQUENCE = 999_999_999_999;

/** Points of one compaction record, and of those it drops, at most. */
export const MAX_COMPACTED_POINTS = 8 * KiB;
/** Layers of one point of a compaction record at most; a layer names segments as a point does. */
export const MAX_LAYERS_PER_POINT = 1 * KiB;

const SEQUENCE_DIGITS = 12;
const NAME = /^(?:log\/(\d{12})\.seg|points\/(\d{12})\.json)$/;
const COMPACTION_NAME = /^compactions\/(\d{12})\.json$/;

/** The blob name of a segment: `log/000000000042.seg`. */
export function segmentName(sequence: number): string {
  return `log/${digits(sequence)}.seg`;
}

/** The blob name of a point's manifest: `points/000000000007.json`. */
export function pointName(sequence: number): string {
  return `points/${digits(sequence)}.json`;
}

/** The blob name of a segment that a compaction wrote: `base/000000000042.seg`. Its sequences are its own. */
export function mergedSegmentName(sequence: number): string {
  return `base/${digits(sequence)}.seg`;
}

/** The blob name of a layer, a list of segments: `layers/000000000042.json`. */
export function layerName(number: number): string {
  return `layers/${digits(number)}.json`;
}

/** The blob name of a compaction's record: `compactions/000000000007.json`. */
export function compactionName(number: number): string {
  return `compactions/${digits(number)}.json`;
}

/** The blob name of a list of dead blobs: `tombstones/000000000007.json`. */
export function tombstoneName(number: number): string {
  return `tombstones/${digits(number)}.json`;
}

/** The number in the blob name of a compaction's record; undefined for other names. */
export function findCompactionNumber(blob: string): number | undefined {
  const found = COMPACTION_NAME.exec(blob)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** The sequence in a blob name of the log, or undefined where the name is not one of the log's. */
export function findSequence(blob: string): number | undefined {
  const match = NAME.exec(blob);
  const found = match?.[1] ?? match?.[2];
  return found === undefined ? undefined : Number(found);
}

/** Whether a number can be a segment's or a point's sequence. */
export function isSequence(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= MAX_SEQUENCE;
}

function digits(sequence: number): string {
  if (!isSequence(sequence)) throw new RangeError(`not a sequence of the replica log: ${sequence}`);
  return String(sequence).padStart(SEQUENCE_DIGITS, '0');
}

/** Reads a little-endian u64 that must be a safe integer; NaN where it is not. */
export function readU64(bytes: Buffer, offset: number): number {
  const value = bytes.readUInt32LE(offset + 4) * 0x1_0000_0000 + bytes.readUInt32LE(offset);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}
