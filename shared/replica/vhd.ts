import { createHash } from 'node:crypto';
import { SECTOR_BYTES } from './layout.ts';
import type { FinishedDisk } from './restore-target.ts';

/** A fixed VHD is the disk's bytes and this many more. Format: Microsoft's Virtual Hard Disk Image Format Specification. */
export const VHD_FOOTER_BYTES = 512;

/** Seconds from 1970 to the format's epoch, 2000-01-01 UTC. */
const EPOCH_SECONDS = 946_684_800;
const RESERVED_FEATURE = 2;
const VERSION_1_0 = 0x0001_0000;
const TYPE_FIXED = 2;
const CHECKSUM_OFFSET = 64;

/** The footer of a fixed VHD. The same disk, identity and time always give the same footer. */
export function encodeVhdFooter(disk: FinishedDisk): Buffer {
  const footer = Buffer.alloc(VHD_FOOTER_BYTES);
  const { cylinders, heads, sectorsPerTrack } = geometryOf(disk.sizeBytes);
  const seconds = Math.floor(disk.time.getTime() / 1000) - EPOCH_SECONDS;
  footer.write('conectix', 0, 'latin1');
  footer.writeUInt32BE(RESERVED_FEATURE, 8);
  footer.writeUInt32BE(VERSION_1_0, 12);
  footer.fill(0xff, 16, 24); // no dynamic header
  footer.writeUInt32BE(Math.min(Math.max(seconds, 0), 0xffff_ffff), 24);
  footer.write('win ', 28, 'latin1'); // readers that do not know the maker take the size from the geometry, which rounds
  footer.writeUInt32BE(0x000a_0000, 32);
  footer.write('Wi2k', 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(disk.sizeBytes), 40);
  footer.writeBigUInt64BE(BigInt(disk.sizeBytes), 48);
  footer.writeUInt16BE(cylinders, 56);
  footer.writeUInt8(heads, 58);
  footer.writeUInt8(sectorsPerTrack, 59);
  footer.writeUInt32BE(TYPE_FIXED, 60);
  uuidOf(disk.identity).copy(footer, 68);
  footer.writeUInt32BE(checksum(footer), CHECKSUM_OFFSET);
  return footer;
}

/** The specification's "CHS calculation": the largest geometry that does not exceed the disk. */
function geometryOf(sizeBytes: number): { cylinders: number; heads: number; sectorsPerTrack: number } {
  const sectors = Math.min(sizeBytes / SECTOR_BYTES, 65535 * 16 * 255);
  if (sectors >= 65535 * 16 * 63) return geometry(sectors, 16, 255);
  const tracks = Math.floor(sectors / 17);
  const heads = Math.max(4, Math.floor((tracks + 1023) / 1024));
  if (tracks < heads * 1024 && heads <= 16) return geometry(sectors, heads, 17);
  return Math.floor(sectors / 31) < 16 * 1024 ? geometry(sectors, 16, 31) : geometry(sectors, 16, 63);
}

function geometry(sectors: number, heads: number, sectorsPerTrack: number) {
  return { cylinders: Math.floor(Math.floor(sectors / sectorsPerTrack) / heads), heads, sectorsPerTrack };
}

/** One's complement of the sum of all bytes, the checksum's own taken as zeros. */
function checksum(footer: Buffer): number {
  return ~footer.reduce((sum, byte) => sum + byte, 0) >>> 0;
}

function uuidOf(identity: string): Buffer {
  const bytes = createHash('sha256').update('secondsite/vhd/1\0').update(identity).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6); // version 8: made by a rule of one's own
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes;
}
