/**
 * A frame: one extent of one disk. 28 bytes of header, the payload (encrypted; none for zeros), a GCM tag.
 * Invariant: no two frames of a segment have the same number, as the number is the nonce.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { free } from './free.ts';
import { TAG_BYTES } from './keys.ts';
import {
  MAX_DISK_BYTES,
  MAX_DISK_NUMBER,
  MAX_FRAME_DATA_BYTES,
  MAX_SECTORS_PER_FRAME,
  SECTOR_BYTES,
  readU64,
} from './layout.ts';

export const FRAME_HEADER_BYTES = 28;
/** What a frame adds to its payload. */
export const FRAME_OVERHEAD_BYTES = FRAME_HEADER_BYTES + TAG_BYTES;
export const FRAME_MAGIC = Buffer.from('FRAM');

/** How an extent's bytes are kept: none at all (zeros), as they are, or as one zstd frame. */
export const ENCODING = { zero: 0, stored: 1, zstd: 2 } as const;

const NONCE_BYTES = 12;
/** zstd must save a sixteenth, or the extent is stored: reading it back is then faster. */
const WORTHWHILE = 15 / 16;
const ZSTD_SLACK_BYTES = 1024;
const ZSTD_MAGIC = 0xfd_2f_b5_28;
const ZSTD_HEADER_BYTES_AT_MOST = 18;
const ZSTD = { [constants.ZSTD_c_compressionLevel]: 1 };
const ZEROS = Buffer.alloc(64 * 1024);

/** The header of a frame; also, byte for byte, its entry in the segment's index. */
export interface FrameHeader {
  /** Unique in the segment; the nonce. Where extents of a segment overlap, the higher number is the newer. */
  number: number;
  disk: number;
  firstSector: number;
  sectorCount: number;
  encoding: number;
  payloadLength: number;
}

/** The right to seal one frame of one segment; `SegmentWriter.reserve` gives it, once for every number. */
export interface FrameSlot {
  sequence: number;
  number: number;
  frameKey: Uint8Array;
}

/** Where an extent is: whole sectors of a disk. */
export interface ExtentPlace {
  disk: number;
  offsetBytes: number;
}

/** An extent with its bytes: a multiple of 512, at most 4 MiB. */
export interface Extent extends ExtentPlace {
  data: Uint8Array;
}

/** An extent whose bytes are one zstd frame, as `packData` makes it. */
export interface PackedExtent extends ExtentPlace {
  lengthBytes: number;
  packed: Uint8Array;
}

/** Whether every byte is zero. Runs at memory speed. */
export function isZero(data: Uint8Array): boolean {
  for (let at = 0; at < data.length; at += ZEROS.length) {
    const piece = data.subarray(at, at + ZEROS.length);
    if (ZEROS.compare(piece, 0, piece.length, 0, piece.length) !== 0) return false;
  }
  return true;
}

/** Seals one extent: zeros become a frame without payload, other bytes are compressed where it pays, and encrypted. */
export function sealFrame(slot: FrameSlot, extent: Extent): Buffer {
  checkExtent(extent, extent.data.length, MAX_FRAME_DATA_BYTES);
  if (isZero(extent.data)) return sealZeroFrame(slot, { ...extent, lengthBytes: extent.data.length });
  const size = extent.data.length;
  const packed = packData(extent.data);
  const encoding = packed ? ENCODING.zstd : ENCODING.stored;
  const frame = seal(slot, { ...headerOf(slot, extent, size), encoding }, packed ?? extent.data);
  if (packed) free(packed);
  return frame;
}

/** Compresses an extent's bytes as a frame has them: one zstd frame; undefined where that does not pay. */
export function packData(data: Uint8Array): Buffer | undefined {
  const chunkSize = data.length + Math.ceil(data.length / 128) + ZSTD_SLACK_BYTES; // one chunk, whatever the bytes are
  const packed = zstdCompressSync(data, { params: ZSTD, chunkSize });
  if (packed.length <= data.length * WORTHWHILE) return packed;
  free(packed);
  return undefined;
}

/**
 * Seals an extent whose bytes were packed by `packData` elsewhere. They are not unpacked to look at them.
 *
 * @throws RangeError where they are not the beginning of a zstd frame of so many bytes
 */
export function sealPackedFrame(slot: FrameSlot, extent: PackedExtent): Buffer {
  const { lengthBytes, packed } = extent;
  checkExtent(extent, lengthBytes, MAX_FRAME_DATA_BYTES);
  if (unpackedBytes(packed) !== lengthBytes || packed.length >= lengthBytes)
    throw new RangeError(`an extent is not packed as a zstd frame of ${lengthBytes} bytes`);
  return seal(slot, { ...headerOf(slot, extent, lengthBytes), encoding: ENCODING.zstd }, packed);
}

/**
 * What a zstd frame says that it unpacks to; undefined where it is none, or does not say.
 * https://github.com/facebook/zstd/blob/dev/doc/zstd_compression_format.md#zstandard-frames
 */
export function unpackedBytes(packed: Uint8Array): number | undefined {
  const bytes = asBuffer(packed);
  if (bytes.length < ZSTD_HEADER_BYTES_AT_MOST || bytes.readUInt32LE(0) !== ZSTD_MAGIC) return undefined;
  const descriptor = bytes.readUInt8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 0x03] ?? 0;
  const at = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes;
  const sizeCode = descriptor >> 6;
  if (sizeCode === 0) return isSingleSegment ? bytes.readUInt8(at) : undefined;
  if (sizeCode === 1) return bytes.readUInt16LE(at) + 256;
  return sizeCode === 2 ? bytes.readUInt32LE(at) : undefined; // 8 bytes: longer than any extent
}

/** Seals an extent that is known to be zeros, of any length up to 2 TiB. */
export function sealZeroFrame(slot: FrameSlot, extent: ExtentPlace & { lengthBytes: number }): Buffer {
  checkExtent(extent, extent.lengthBytes, MAX_SECTORS_PER_FRAME * SECTOR_BYTES);
  return seal(
    slot,
    { ...headerOf(slot, extent, extent.lengthBytes), encoding: ENCODING.zero },
    ZEROS.subarray(0, 0),
  );
}

/**
 * Opens a whole frame (header, payload, tag): checks its tag and returns the extent's bytes; for zeros, none.
 *
 * @throws Error where the bytes are not what was sealed, or were sealed for another place, number or segment.
 */
export function openFrame(slot: Omit<FrameSlot, 'number'>, frame: Uint8Array): Buffer {
  const bytes = asBuffer(frame);
  const header = decodeFrameHeader(bytes);
  if (header === undefined || bytes.length !== header.payloadLength + FRAME_OVERHEAD_BYTES) {
    throw new Error('its header is not one of a frame');
  }
  const plain = decrypt(slot, header, bytes);
  if (header.encoding !== ENCODING.zstd) return plain;
  const sizeBytes = header.sectorCount * SECTOR_BYTES;
  const data = zstdDecompressSync(plain, { maxOutputLength: sizeBytes, chunkSize: sizeBytes });
  free(plain);
  if (data.length !== sizeBytes) throw new Error(`it unpacks to ${data.length} bytes, expected ${sizeBytes}`);
  return data;
}

/** Checks a frame's tag without unpacking it. */
export function isAuthentic(slot: Omit<FrameSlot, 'number'>, frame: Uint8Array): boolean {
  const bytes = asBuffer(frame);
  const header = decodeFrameHeader(bytes);
  if (header === undefined || bytes.length !== header.payloadLength + FRAME_OVERHEAD_BYTES) return false;
  try {
    free(decrypt(slot, header, bytes));
    return true;
  } catch {
    return false;
  }
}

/** Writes a frame's header. */
export function encodeFrameHeader(
  header: FrameHeader,
  into: Buffer = Buffer.alloc(FRAME_HEADER_BYTES),
): Buffer {
  FRAME_MAGIC.copy(into, 0);
  into.writeUInt32LE(header.number, 4);
  into.writeBigUInt64LE(BigInt(header.firstSector), 8);
  into.writeUInt32LE(header.sectorCount, 16);
  into.writeUInt32LE(header.payloadLength, 20);
  into.writeUInt16LE(header.disk, 24);
  into.writeUInt8(header.encoding, 26);
  into.writeUInt8(0, 27);
  return into;
}

/** Reads a frame's header at an offset; undefined where the bytes cannot be one. Every value is within its bounds. */
export function decodeFrameHeader(bytes: Buffer, at = 0): FrameHeader | undefined {
  if (bytes.length - at < FRAME_HEADER_BYTES) return undefined;
  if (FRAME_MAGIC.compare(bytes, at, at + FRAME_MAGIC.length) !== 0 || bytes[at + 27] !== 0) return undefined;
  const header = {
    number: bytes.readUInt32LE(at + 4),
    firstSector: readU64(bytes, at + 8),
    sectorCount: bytes.readUInt32LE(at + 16),
    payloadLength: bytes.readUInt32LE(at + 20),
    disk: bytes.readUInt16LE(at + 24),
    encoding: bytes.readUInt8(at + 26),
  };
  return isPlausible(header) ? header : undefined;
}

function isPlausible(header: FrameHeader): boolean {
  const dataBytes = header.sectorCount * SECTOR_BYTES;
  const endsWithin = (header.firstSector + header.sectorCount) * SECTOR_BYTES <= MAX_DISK_BYTES;
  if (!endsWithin || header.sectorCount === 0) return false;
  if (header.encoding === ENCODING.zero) return header.payloadLength === 0;
  if (dataBytes > MAX_FRAME_DATA_BYTES || header.payloadLength === 0) return false;
  if (header.encoding === ENCODING.stored) return header.payloadLength === dataBytes;
  return header.encoding === ENCODING.zstd && header.payloadLength < dataBytes;
}

function headerOf(slot: FrameSlot, place: ExtentPlace, lengthBytes: number): Omit<FrameHeader, 'encoding'> {
  return {
    number: slot.number,
    disk: place.disk,
    firstSector: place.offsetBytes / SECTOR_BYTES,
    sectorCount: lengthBytes / SECTOR_BYTES,
    payloadLength: 0,
  };
}

function seal(slot: FrameSlot, header: FrameHeader, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafeSlow(FRAME_OVERHEAD_BYTES + payload.length);
  encodeFrameHeader({ ...header, payloadLength: payload.length }, frame);
  const cipher = createCipheriv('aes-256-gcm', keyOf(slot.frameKey), nonce(slot.number)).setAAD(
    aad(slot, frame),
  );
  if (payload.length > 0) {
    const sealed = cipher.update(payload);
    sealed.copy(frame, FRAME_HEADER_BYTES);
    free(sealed);
  }
  cipher.final();
  cipher.getAuthTag().copy(frame, frame.length - TAG_BYTES);
  return frame;
}

function decrypt(slot: Omit<FrameSlot, 'number'>, header: FrameHeader, frame: Buffer): Buffer {
  const options = { authTagLength: TAG_BYTES };
  const decipher = createDecipheriv('aes-256-gcm', keyOf(slot.frameKey), nonce(header.number), options);
  decipher.setAAD(aad(slot, frame)).setAuthTag(frame.subarray(frame.length - TAG_BYTES));
  const plain = decipher.update(frame.subarray(FRAME_HEADER_BYTES, frame.length - TAG_BYTES));
  decipher.final();
  return plain;
}

/** The last key used, as the cipher wants it: to make one takes longer than to encrypt a page. */
let lastKey: { bytes: Buffer; key: KeyObject } | undefined;

function keyOf(frameKey: Uint8Array): KeyObject {
  if (lastKey?.bytes.equals(frameKey) !== true) {
    const bytes = Buffer.from(frameKey);
    lastKey = { bytes, key: createSecretKey(bytes) };
  }
  return lastKey.key;
}

/** Eight zero bytes, then the frame's number, little-endian. */
function nonce(number: number): Buffer {
  const bytes = Buffer.alloc(NONCE_BYTES);
  bytes.writeUInt32LE(number, 8);
  return bytes;
}

/** The frame's header and the segment's sequence. */
function aad(slot: Pick<FrameSlot, 'sequence'>, frame: Buffer): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + 8);
  frame.copy(bytes, 0, 0, FRAME_HEADER_BYTES);
  bytes.writeBigUInt64LE(BigInt(slot.sequence), FRAME_HEADER_BYTES);
  return bytes;
}

function checkExtent(extent: ExtentPlace, lengthBytes: number, maxBytes: number): void {
  const { disk, offsetBytes } = extent;
  const isDisk = Number.isInteger(disk) && disk >= 0 && disk <= MAX_DISK_NUMBER;
  const isPlaced = offsetBytes >= 0 && offsetBytes % SECTOR_BYTES === 0;
  const isSized = lengthBytes > 0 && lengthBytes <= maxBytes && lengthBytes % SECTOR_BYTES === 0;
  if (!isDisk || !isPlaced || !isSized || offsetBytes + lengthBytes > MAX_DISK_BYTES) {
    throw new RangeError(
      `an extent is 1 to ${maxBytes} bytes of whole 512-byte sectors: disk ${disk}, offset ${offsetBytes}, length ${lengthBytes}`,
    );
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
