/**
 * The parts of a segment around its frames. In file order: header, frames, index, footer.
 * The footer repeats the salt, and its MAC covers header, index and footer, so that the file's tail alone tells
 * and proves where every frame is.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import {
  ENCODING,
  FRAME_HEADER_BYTES,
  FRAME_OVERHEAD_BYTES,
  decodeFrameHeader,
  encodeFrameHeader,
} from './frame.ts';
import type { FrameHeader } from './frame.ts';
import { SALT_BYTES, itemIdBytes } from './keys.ts';
import {
  FORMAT_VERSION,
  MAX_FRAMES_PER_SEGMENT,
  MAX_INDEX_BYTES,
  MAX_ITEM_ID_BYTES,
  MAX_SEGMENT_BYTES,
  isSequence,
  readU64,
} from './layout.ts';

export const FOOTER_BYTES = 112;
export const MAC_BYTES = 32;

const HEADER_MAGIC = Buffer.from('SSSEG\r\n\x1a', 'latin1');
const FOOTER_MAGIC = Buffer.from('SSEND\r\n\x1a', 'latin1');
const HEADER_FIXED_BYTES = 56;
const MAC_OFFSET = FOOTER_BYTES - MAC_BYTES;

/** What a segment says about itself at its start. */
export interface SegmentHeader {
  itemId: string;
  sequence: number;
  salt: Buffer;
}

/** How much a segment holds. */
export interface SegmentCounts {
  frames: number;
  zeroFrames: number;
  /** Sectors of extents with bytes, and of zero extents; unpacked, overlaps counted twice. */
  dataSectors: number;
  zeroSectors: number;
}

/** What a segment says about itself at its end. */
export interface SegmentFooter {
  headerBytes: number;
  indexOffset: number;
  indexBytes: number;
  counts: SegmentCounts;
  salt: Buffer;
  mac: Buffer;
}

/** A frame's header and where in its segment the frame begins. */
export interface IndexEntry extends FrameHeader {
  fileOffset: number;
}

export function encodeHeader(header: SegmentHeader): Buffer {
  const itemId = itemIdBytes(header.itemId);
  const bytes = Buffer.alloc(HEADER_FIXED_BYTES + itemId.length);
  HEADER_MAGIC.copy(bytes, 0);
  bytes.writeUInt16LE(FORMAT_VERSION, 8);
  bytes.writeUInt16LE(itemId.length, 10);
  bytes.writeBigUInt64LE(BigInt(header.sequence), 16);
  header.salt.copy(bytes, 24);
  itemId.copy(bytes, HEADER_FIXED_BYTES);
  return bytes;
}

/** Reads a segment's header; undefined where the bytes do not begin with a whole one. */
export function decodeHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < HEADER_FIXED_BYTES || !bytes.subarray(0, 8).equals(HEADER_MAGIC)) return undefined;
  const idBytes = bytes.readUInt16LE(10);
  const sequence = readU64(bytes, 16);
  const isKnown = bytes.readUInt16LE(8) === FORMAT_VERSION && bytes.readUInt32LE(12) === 0;
  if (!isKnown || !isSequence(sequence) || idBytes === 0 || idBytes > MAX_ITEM_ID_BYTES) return undefined;
  if (bytes.length < HEADER_FIXED_BYTES + idBytes) return undefined;
  const itemId = bytes.toString('utf8', HEADER_FIXED_BYTES, HEADER_FIXED_BYTES + idBytes);
  const salt = Buffer.from(bytes.subarray(24, 24 + SALT_BYTES));
  const header = { itemId, sequence, salt };
  return encodeHeader(header).equals(bytes.subarray(0, HEADER_FIXED_BYTES + idBytes)) ? header : undefined;
}

/** The longest header there can be: enough bytes to read one. */
export const MAX_HEADER_BYTES = HEADER_FIXED_BYTES + MAX_ITEM_ID_BYTES;

/** Builds what follows the frames: index and footer, authenticated together with the header. */
export function encodeTail(
  header: SegmentHeader,
  entries: readonly IndexEntry[],
  indexKey: Uint8Array,
): Buffer {
  const plain = Buffer.alloc(entries.length * FRAME_HEADER_BYTES);
  for (const [at, entry] of entries.entries()) {
    encodeFrameHeader(entry, plain.subarray(at * FRAME_HEADER_BYTES, (at + 1) * FRAME_HEADER_BYTES));
  }
  const index = zstdCompressSync(plain, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
  const head = encodeHeader(header);
  const last = entries.at(-1);
  const footer = Buffer.alloc(FOOTER_BYTES);
  const counts = countFrames(entries);
  FOOTER_MAGIC.copy(footer, 0);
  footer.writeUInt16LE(FORMAT_VERSION, 8);
  footer.writeUInt16LE(head.length, 10);
  footer.writeUInt32LE(counts.frames, 12);
  footer.writeUInt32LE(last === undefined ? head.length : frameEnd(last), 16);
  footer.writeUInt32LE(index.length, 20);
  footer.writeUInt32LE(counts.zeroFrames, 24);
  footer.writeBigUInt64LE(BigInt(counts.dataSectors), 32);
  footer.writeBigUInt64LE(BigInt(counts.zeroSectors), 40);
  header.salt.copy(footer, 48);
  tailMac(head, index, footer, indexKey).copy(footer, MAC_OFFSET);
  return Buffer.concat([index, footer]);
}

/** Reads a footer; undefined where the bytes cannot be one of a segment of that size. */
export function decodeFooter(bytes: Buffer, segmentBytes: number): SegmentFooter | undefined {
  if (bytes.length !== FOOTER_BYTES || !bytes.subarray(0, 8).equals(FOOTER_MAGIC)) return undefined;
  if (bytes.readUInt16LE(8) !== FORMAT_VERSION || bytes.readUInt32LE(28) !== 0) return undefined;
  const footer = {
    headerBytes: bytes.readUInt16LE(10),
    indexOffset: bytes.readUInt32LE(16),
    indexBytes: bytes.readUInt32LE(20),
    counts: {
      frames: bytes.readUInt32LE(12),
      zeroFrames: bytes.readUInt32LE(24),
      dataSectors: readU64(bytes, 32),
      zeroSectors: readU64(bytes, 40),
    },
    salt: Buffer.from(bytes.subarray(48, 48 + SALT_BYTES)),
    mac: Buffer.from(bytes.subarray(MAC_OFFSET)),
  };
  return isPlausible(footer, segmentBytes) ? footer : undefined;
}

/** Whether header, index and footer are those that the holder of the key wrote, together. */
export function isTailAuthentic(
  header: SegmentHeader,
  index: Buffer,
  footer: Buffer,
  indexKey: Uint8Array,
): boolean {
  return timingSafeEqual(tailMac(encodeHeader(header), index, footer, indexKey), footer.subarray(MAC_OFFSET));
}

/** Unpacks an authenticated index; undefined where it does not agree with its footer. */
export function decodeIndex(index: Buffer, footer: SegmentFooter): IndexEntry[] | undefined {
  const plain = unpack(index, footer.counts.frames * FRAME_HEADER_BYTES);
  if (plain === undefined) return undefined;
  const entries: IndexEntry[] = [];
  const numbers = new Set<number>();
  let fileOffset = footer.headerBytes;
  for (let at = 0; at < plain.length; at += FRAME_HEADER_BYTES) {
    const header = decodeFrameHeader(plain, at);
    if (header === undefined || numbers.has(header.number)) return undefined;
    numbers.add(header.number);
    entries.push({ ...header, fileOffset });
    fileOffset += FRAME_OVERHEAD_BYTES + header.payloadLength;
  }
  const isWhole = fileOffset === footer.indexOffset && sameCounts(countFrames(entries), footer.counts);
  return isWhole ? entries : undefined;
}

/** The file offset just after a frame. */
export function frameEnd(entry: IndexEntry): number {
  return entry.fileOffset + FRAME_OVERHEAD_BYTES + entry.payloadLength;
}

function unpack(index: Buffer, sizeBytes: number): Buffer | undefined {
  try {
    const plain = zstdDecompressSync(index, { maxOutputLength: Math.max(sizeBytes, 1) });
    return plain.length === sizeBytes ? plain : undefined;
  } catch {
    return undefined;
  }
}

function isPlausible(footer: SegmentFooter, segmentBytes: number): boolean {
  const { counts, headerBytes, indexOffset, indexBytes } = footer;
  if (segmentBytes > MAX_SEGMENT_BYTES || indexBytes > MAX_INDEX_BYTES) return false;
  if (counts.frames > MAX_FRAMES_PER_SEGMENT || counts.zeroFrames > counts.frames) return false;
  if (!Number.isInteger(counts.dataSectors + counts.zeroSectors)) return false;
  if (headerBytes <= HEADER_FIXED_BYTES || headerBytes > MAX_HEADER_BYTES) return false;
  const leastIndexOffset = headerBytes + counts.frames * FRAME_OVERHEAD_BYTES;
  return indexOffset >= leastIndexOffset && indexOffset + indexBytes + FOOTER_BYTES === segmentBytes;
}

/** How much a list of frames holds. */
export function countFrames(entries: readonly FrameHeader[]): SegmentCounts {
  const counts = { frames: entries.length, zeroFrames: 0, dataSectors: 0, zeroSectors: 0 };
  for (const entry of entries) {
    if (entry.encoding === ENCODING.zero) {
      counts.zeroFrames += 1;
      counts.zeroSectors += entry.sectorCount;
    } else {
      counts.dataSectors += entry.sectorCount;
    }
  }
  return counts;
}

function sameCounts(a: SegmentCounts, b: SegmentCounts): boolean {
  return (
    a.frames === b.frames &&
    a.zeroFrames === b.zeroFrames &&
    a.dataSectors === b.dataSectors &&
    a.zeroSectors === b.zeroSectors
  );
}

function tailMac(header: Buffer, index: Buffer, footer: Buffer, indexKey: Uint8Array): Buffer {
  const mac = createHmac('sha256', indexKey).update(header).update(index);
  return mac.update(footer.subarray(0, MAC_OFFSET)).digest();
}
