import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { FRAME_MAGIC, decodeFrameHeader, isAuthentic } from './frame.ts';
import type { FrameSlot } from './frame.ts';
import { segmentKeys } from './keys.ts';
import type { SegmentKeys } from './keys.ts';
import { MAX_SEGMENT_BYTES, segmentName } from './layout.ts';
import { refuse } from './replica-error.ts';
import {
  FOOTER_BYTES,
  MAC_BYTES,
  countFrames,
  decodeFooter,
  decodeHeader,
  decodeIndex,
  encodeHeader,
  encodeTail,
  frameEnd,
  isTailAuthentic,
} from './segment-format.ts';
import type { IndexEntry, SegmentHeader } from './segment-format.ts';
import { openFileSink } from './segment-sink.ts';
import type { SealedSegment, SegmentIdentity } from './segment-writer.ts';

/** What was found in a segment file that a crash may have left unfinished. */
export interface RecoveredSegment {
  /** The finished segment; undefined where the file holds not one whole frame: delete it. */
  segment: SealedSegment | undefined;
  /** The frames it holds, in file order. */
  frames: readonly IndexEntry[];
  /** Torn bytes that were cut off the end. */
  droppedBytes: number;
  /**
   * Frames that stood behind a damaged place and were cut off with it (where not one frame could be proven: all that
   * look like whole ones). Above zero this is not the torn end of a last write but a hole: what was acknowledged may be
   * lost, and the disks need a full compare.
   */
  framesBehindDamage: number;
}

/** A segment file in a spool, and how much of it was acknowledged, where the spool knows. */
export interface SegmentFile extends SegmentIdentity {
  path: string;
  /** Bytes of the file known to have been durable; a recovery that would keep less is refused. */
  acknowledgedBytes?: number;
}

/**
 * Finishes a segment file after a crash: keeps its whole frames, cuts the torn end off, appends index and footer.
 * A file that was finished already is left as it is; running it twice changes nothing.
 *
 * @throws ReplicaError where the file is another item's or another segment's, or acknowledged frames are damaged.
 */
export async function recoverSegment(file: SegmentFile): Promise<RecoveredSegment> {
  const bytes = await readWhole(file.path);
  const header = decodeHeader(bytes);
  if (header === undefined) {
    if ((file.acknowledgedBytes ?? 0) > 0)
      refuse('Altered', segmentName(file.sequence), 'its header cannot be read');
    return {
      segment: undefined,
      frames: [],
      droppedBytes: bytes.length,
      framesBehindDamage: countAlike(bytes),
    };
  }
  checkIdentity(header, file);
  const keys = segmentKeys(file.dataKey, header);
  const finished = findFinished(bytes, header, keys);
  if (finished !== undefined) {
    return {
      segment: describe(bytes, header, finished),
      frames: finished,
      droppedBytes: 0,
      framesBehindDamage: 0,
    };
  }
  return cutAndSeal(file, { bytes, header, keys });
}

interface Opened {
  bytes: Buffer;
  header: SegmentHeader;
  keys: SegmentKeys;
}

async function cutAndSeal(file: SegmentFile, opened: Opened): Promise<RecoveredSegment> {
  const { bytes, header, keys } = opened;
  const slot = { sequence: header.sequence, frameKey: keys.frame };
  const { frames, endsAt } = scan(bytes, encodeHeader(header).length, slot);
  if (endsAt < (file.acknowledgedBytes ?? 0)) {
    const detail = `acknowledged up to byte ${file.acknowledgedBytes}, whole only up to ${endsAt}`;
    refuse('Altered', segmentName(header.sequence), detail);
  }
  const framesBehindDamage = frames.length === 0 ? countAlike(bytes) : countBehind(bytes, endsAt, slot);
  const droppedBytes = bytes.length - endsAt;
  if (frames.length === 0) return { segment: undefined, frames, droppedBytes, framesBehindDamage };
  const tail = encodeTail(header, frames, keys.index);
  const sink = await openFileSink(file.path, endsAt);
  try {
    await sink.append([tail]);
    await sink.sync();
  } finally {
    await sink.close();
  }
  const whole = Buffer.concat([bytes.subarray(0, endsAt), tail]);
  return { segment: describe(whole, header, frames), frames, droppedBytes, framesBehindDamage };
}

async function readWhole(path: string): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > MAX_SEGMENT_BYTES)
      throw new RangeError(`${path} has ${size} bytes: not a segment of the replica log`);
    return await readFile(file);
  } finally {
    await file.close();
  }
}

function checkIdentity(header: SegmentHeader, file: SegmentFile): void {
  const name = segmentName(file.sequence);
  if (header.itemId !== file.itemId) refuse('WrongItem', name, `it holds a segment of ${header.itemId}`);
  if (header.sequence !== file.sequence)
    refuse('WrongSequence', name, `it holds ${segmentName(header.sequence)}`);
}

function findFinished(bytes: Buffer, header: SegmentHeader, keys: SegmentKeys): IndexEntry[] | undefined {
  if (bytes.length < FOOTER_BYTES) return undefined;
  const footerBytes = bytes.subarray(bytes.length - FOOTER_BYTES);
  const footer = decodeFooter(footerBytes, bytes.length);
  if (footer === undefined || !footer.salt.equals(header.salt)) return undefined;
  const index = bytes.subarray(footer.indexOffset, footer.indexOffset + footer.indexBytes);
  return isTailAuthentic(header, index, footerBytes, keys.index) ? decodeIndex(index, footer) : undefined;
}

function scan(
  bytes: Buffer,
  from: number,
  slot: Omit<FrameSlot, 'number'>,
): { frames: IndexEntry[]; endsAt: number } {
  const frames: IndexEntry[] = [];
  const numbers = new Set<number>();
  let endsAt = from;
  for (;;) {
    const found = findFrame(bytes, endsAt, slot);
    if (found === undefined || numbers.has(found.number)) return { frames, endsAt };
    numbers.add(found.number);
    frames.push(found);
    endsAt = frameEnd(found);
  }
}

/** Proven frames from a place on. */
function countBehind(bytes: Buffer, from: number, slot: Omit<FrameSlot, 'number'>): number {
  return count(bytes, from, (at) => findFrame(bytes, at, slot));
}

/** Places that look like whole frames, for a file of which nothing can be proven. */
function countAlike(bytes: Buffer): number {
  return count(bytes, 0, (at) => findAlike(bytes, at));
}

function count(bytes: Buffer, from: number, find: (at: number) => IndexEntry | undefined): number {
  let found = 0;
  let at = bytes.indexOf(FRAME_MAGIC, from);
  while (at >= 0) {
    const frame = find(at);
    if (frame !== undefined) found += 1;
    at = bytes.indexOf(FRAME_MAGIC, frame === undefined ? at + 1 : frameEnd(frame));
  }
  return found;
}

function findFrame(bytes: Buffer, at: number, slot: Omit<FrameSlot, 'number'>): IndexEntry | undefined {
  const alike = findAlike(bytes, at);
  return alike !== undefined && isAuthentic(slot, bytes.subarray(at, frameEnd(alike))) ? alike : undefined;
}

function findAlike(bytes: Buffer, at: number): IndexEntry | undefined {
  const header = decodeFrameHeader(bytes, at);
  if (header === undefined) return undefined;
  const entry = { ...header, fileOffset: at };
  return frameEnd(entry) <= bytes.length ? entry : undefined;
}

function describe(bytes: Buffer, header: SegmentHeader, frames: readonly IndexEntry[]): SealedSegment {
  return {
    sequence: header.sequence,
    name: segmentName(header.sequence),
    sizeBytes: bytes.length,
    sha256: createHash('sha256').update(bytes).digest('hex'),
    md5: createHash('md5').update(bytes).digest('base64'),
    mac: bytes.subarray(bytes.length - MAC_BYTES).toString('hex'),
    counts: countFrames(frames),
  };
}
