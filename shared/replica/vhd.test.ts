import { describe, expect, it } from 'vitest';
import { GiB, MiB } from '../bytes.ts';
import { encodeVhdFooter } from './vhd.ts';

const disk = { sizeBytes: 256 * MiB, identity: 'item\n1\ndisk', time: new Date('2026-01-02T03:04:05Z') };

describe('the footer of a fixed VHD', () => {
  it('says what the specification asks for', () => {
    const footer = encodeVhdFooter(disk);
    expect(footer).toHaveLength(512);
    expect(footer.toString('latin1', 0, 8)).toBe('conectix');
    expect(footer.readUInt32BE(8)).toBe(2);
    expect(footer.readUInt32BE(12)).toBe(0x10000);
    expect(footer.readBigUInt64BE(16)).toBe(0xffff_ffff_ffff_ffffn);
    expect(footer.readUInt32BE(24)).toBe((Date.UTC(2026, 0, 2, 3, 4, 5) - Date.UTC(2000, 0, 1)) / 1000);
    expect(footer.readBigUInt64BE(40)).toBe(BigInt(256 * MiB));
    expect(footer.readBigUInt64BE(48)).toBe(BigInt(256 * MiB));
    expect(footer.readUInt32BE(60)).toBe(2);
    expect(footer.subarray(85).every((byte) => byte === 0)).toBe(true);
  });

  it('has a checksum over all other bytes', () => {
    const footer = encodeVhdFooter(disk);
    const sum = footer.reduce((sum, byte, at) => (at >= 64 && at < 68 ? sum : sum + byte), 0);
    expect(footer.readUInt32BE(64)).toBe(~sum >>> 0);
  });

  it('has a geometry that never exceeds the disk', () => {
    for (const sizeBytes of [
      3 * MiB,
      40 * MiB,
      256 * MiB,
      600 * MiB,
      2 * GiB,
      100 * GiB,
      200 * GiB,
      4096 * GiB,
    ]) {
      const footer = encodeVhdFooter({ ...disk, sizeBytes });
      const [cylinders, heads, sectors] = [
        footer.readUInt16BE(56),
        footer.readUInt8(58),
        footer.readUInt8(59),
      ];
      const geometryBytes = cylinders * heads * sectors * 512;
      expect(geometryBytes).toBeGreaterThan(0);
      expect(geometryBytes).toBeLessThanOrEqual(sizeBytes);
      expect(geometryBytes / Math.min(sizeBytes, 65535 * 16 * 255 * 512)).toBeGreaterThan(0.98);
    }
  });

  it('is the same for the same disk and point, and another for another', () => {
    expect(encodeVhdFooter(disk).equals(encodeVhdFooter({ ...disk }))).toBe(true);
    const other = encodeVhdFooter({ ...disk, identity: 'item\n2\ndisk' });
    expect(other.subarray(68, 84).equals(encodeVhdFooter(disk).subarray(68, 84))).toBe(false);
  });
});
