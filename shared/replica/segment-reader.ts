import { KiB } from '../bytes.ts';
import { FRAME_OVERHEAD_BYTES, decodeFrameHeader, openFrame } from './frame.ts';
import { segmentKeys } from './keys.ts';
import { refuse } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import {
  FOOTER_BYTES,
  MAX_HEADER_BYTES,
  decodeFooter,
  decodeHeader,
  decodeIndex,
  isTailAuthentic,
} from './segment-format.ts';
import type { IndexEntry } from './segment-format.ts';

/** A segment as a manifest names it. */
export interface SegmentReference {
  sequence: number;
  /** Blob name. */
  name: string;
  sizeBytes: number;
  /** Hex, of the whole blob. */
  sha256: string;
  /** Hex, the footer's MAC: ties the blob to the manifest without reading all of it. */
  mac: string;
}

/** A segment whose index was read and proven. */
export interface OpenSegment {
  reference: SegmentReference;
  frameKey: Buffer;
  entries: readonly IndexEntry[];
}

/** Enough for the index of most segments, so that one request gets it with the footer. */
const FIRST_TAIL_BYTES = 64 * KiB;

/**
 * Reads a segment's index and proves that it is the one the manifest names. As a rule that is one small request.
 *
 * @throws ReplicaError naming the blob and what is wrong with it.
 */
export async function openSegment(log: ReplicaLog, reference: SegmentReference): Promise<OpenSegment> {
  const first = await readTail(log, reference, FIRST_TAIL_BYTES);
  const opened = openTail(log, reference, first);
  if (typeof opened === 'object') return opened;
  const second =
    typeof opened === 'number' ? openTail(log, reference, await readTail(log, reference, opened)) : opened;
  if (typeof second === 'object') return second;
  return refuseSegment(log, reference, String(second));
}

/** Like `openSegment`, for a segment that was read whole. Compares neither size nor hash: the caller did. */
export async function openWholeSegment(
  log: ReplicaLog,
  reference: SegmentReference,
  bytes: Buffer,
): Promise<OpenSegment> {
  const opened = openTail(log, reference, bytes);
  return typeof opened === 'object' ? opened : refuseSegment(log, reference, String(opened));
}

/**
 * Opens one frame of a segment: `bytes` is what stands at the entry's place, header to tag.
 *
 * @throws ReplicaError where that is not the frame which the index names.
 */
export function openEntry(segment: OpenSegment, entry: IndexEntry, bytes: Buffer): Buffer {
  checkEntry(segment.reference, entry, bytes);
  try {
    return openFrame({ sequence: segment.reference.sequence, frameKey: segment.frameKey }, bytes);
  } catch (error) {
    return refuse(
      'Altered',
      segment.reference.name,
      `frame ${entry.number} does not open (${reasonOf(error)})`,
    );
  }
}

/** Checks that a frame's own header is the one its index entry holds. */
export function checkEntry(
  reference: SegmentReference,
  entry: Pick<IndexEntry, 'number' | 'payloadLength' | 'fileOffset'>,
  bytes: Buffer,
): void {
  const header = decodeFrameHeader(bytes);
  const isNamed = header?.number === entry.number && header.payloadLength === entry.payloadLength;
  if (!isNamed || bytes.length !== FRAME_OVERHEAD_BYTES + entry.payloadLength) {
    refuse('Altered', reference.name, `frame ${entry.number} is not at byte ${entry.fileOffset}`);
  }
}

/**
 * Says what is wrong with a segment that did not prove itself, from what its header claims.
 *
 * @throws ReplicaError always.
 */
export async function refuseSegment(
  log: ReplicaLog,
  reference: SegmentReference,
  detail: string,
): Promise<never> {
  const { name, sequence, sizeBytes } = reference;
  const range = await log.store.findRange(name, 0, MAX_HEADER_BYTES);
  if (range === undefined) return refuse('Missing', name, 'the store has no such blob');
  const header = decodeHeader(range.bytes);
  if (header !== undefined && header.itemId !== log.itemId) {
    return refuse('WrongItem', name, `it holds a segment of ${header.itemId}`);
  }
  if (header !== undefined && header.sequence !== sequence) {
    return refuse('WrongSequence', name, `it holds log segment ${header.sequence}`);
  }
  if (range.sizeBytes < sizeBytes && !(await isFinished(log, name, range.sizeBytes))) {
    return refuse('Truncated', name, `it has ${range.sizeBytes} of ${sizeBytes} bytes`);
  }
  if (header !== undefined && (await isOwn(log, reference, range.sizeBytes))) {
    return refuse('Replaced', name, 'it is a segment of this item, but not the one its point names');
  }
  return refuse('Altered', name, detail);
}

/** Reads the last bytes of a segment, having compared its size. */
async function readTail(log: ReplicaLog, reference: SegmentReference, wantedBytes: number): Promise<Buffer> {
  const length = Math.min(wantedBytes, reference.sizeBytes);
  const range = await log.store.findRange(reference.name, reference.sizeBytes - length, length);
  if (range === undefined) return refuse('Missing', reference.name, 'the store has no such blob');
  if (range.sizeBytes !== reference.sizeBytes || range.bytes.length !== length) {
    return refuseSegment(
      log,
      reference,
      `it has ${range.sizeBytes} bytes, its point says ${reference.sizeBytes}`,
    );
  }
  return range.bytes;
}

/** The opened segment; or how many bytes of the tail are needed; or what is wrong. */
function openTail(log: ReplicaLog, reference: SegmentReference, tail: Buffer): OpenSegment | number | string {
  const footerBytes = tail.subarray(Math.max(0, tail.length - FOOTER_BYTES));
  const footer = decodeFooter(footerBytes, reference.sizeBytes);
  if (footer === undefined) return 'its footer cannot be read';
  const tailBytes = footer.indexBytes + FOOTER_BYTES;
  if (tailBytes > tail.length) return tailBytes;
  const index = tail.subarray(tail.length - tailBytes, tail.length - FOOTER_BYTES);
  const header = { itemId: log.itemId, sequence: reference.sequence, salt: footer.salt };
  const keys = segmentKeys(log.dataKey, header);
  if (!isTailAuthentic(header, index, footerBytes, keys.index))
    return 'its index or footer is not what was written';
  if (footer.mac.toString('hex') !== reference.mac) return 'it is not the segment its point names';
  const entries = decodeIndex(index, footer);
  if (entries === undefined)
    return refuse('Malformed', reference.name, 'its index is authentic but breaks the format');
  return { reference, frameKey: keys.frame, entries };
}

async function isFinished(log: ReplicaLog, name: string, sizeBytes: number): Promise<boolean> {
  const tail = await log.store.findRange(name, Math.max(0, sizeBytes - FOOTER_BYTES), FOOTER_BYTES);
  return tail !== undefined && decodeFooter(tail.bytes, sizeBytes) !== undefined;
}

/** Whether the blob is an authentic segment of this item and sequence, whatever its point says of it. */
async function isOwn(log: ReplicaLog, reference: SegmentReference, sizeBytes: number): Promise<boolean> {
  const found = await log.store.findRange(
    reference.name,
    Math.max(0, sizeBytes - FOOTER_BYTES),
    FOOTER_BYTES,
  );
  const footer = found === undefined ? undefined : decodeFooter(found.bytes, sizeBytes);
  if (found === undefined || footer === undefined || footer.mac.toString('hex') === reference.mac)
    return false;
  const index = await log.store.findRange(reference.name, footer.indexOffset, footer.indexBytes);
  const header = { itemId: log.itemId, sequence: reference.sequence, salt: footer.salt };
  return (
    index !== undefined &&
    isTailAuthentic(header, index.bytes, found.bytes, segmentKeys(log.dataKey, header).index)
  );
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
