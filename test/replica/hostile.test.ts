import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateDataKey, pointKey } from '../../shared/replica/keys.ts';
import { MAX_FRAMES_PER_SEGMENT } from '../../shared/replica/layout.ts';
import { decodePoint, encodePoint, genesisHead } from '../../shared/replica/point.ts';
import type { PointManifest } from '../../shared/replica/point.ts';
import {
  FOOTER_BYTES,
  decodeFooter,
  decodeHeader,
  decodeIndex,
} from '../../shared/replica/segment-format.ts';
import { createHmac } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';

const dataKey = generateDataKey();
const expected = { itemId: 'item', dataKey, sequence: 1 };
const hash = 'a'.repeat(64);
const manifest: Omit<PointManifest, 'format'> = {
  itemId: 'item',
  sequence: 1,
  previous: genesisHead('item').hash,
  consistency: 'CrashConsistent',
  time: '2026-01-02T03:04:05.678Z',
  disks: [{ number: 0, id: 'disk', sizeBytes: 1024, sectorBytes: 512 }],
  segments: [{ sequence: 1, name: 'log/000000000001.seg', sizeBytes: 400, sha256: hash, mac: hash }],
};

/** A manifest that the holder of the key made, whatever it says. */
function authentic(json: string): Buffer {
  const body = Buffer.from(json.slice(0, -1));
  const mac = createHmac('sha256', pointKey(dataKey, 'item')).update(body).digest('hex');
  return Buffer.concat([body, Buffer.from(`,"mac":"${mac}"}\n`)]);
}

describe('a manifest', () => {
  it('is read back as it was written', () => {
    expect(decodePoint(encodePoint(manifest, dataKey), expected)).toEqual({
      format: 'secondsite-point/1',
      ...manifest,
    });
  });

  it('is refused by name when it is authentic and breaks a rule', () => {
    const segment = manifest.segments[0]!;
    const disk = manifest.disks[0]!;
    const wrongs = [
      { segments: [{ ...segment, name: 'log/000000000002.seg' }] },
      { segments: [{ ...segment, name: '../other/log/000000000001.seg' }] },
      { segments: [{ ...segment, sizeBytes: 2 ** 40 }] },
      { segments: [segment, segment] },
      { segments: 'none' },
      { disks: [] },
      { disks: [{ ...disk, sizeBytes: 1000 }] },
      { disks: [{ ...disk, sizeBytes: 2 ** 52 }] },
      { disks: [disk, disk] },
      { time: 'yesterday' },
      { consistency: 'Perfect' },
      { sequence: 0 },
      { sequence: 1e300 },
      { extra: true },
      { format: 'secondsite-point/2' },
    ];
    for (const wrong of wrongs) {
      const bytes = authentic(JSON.stringify({ format: 'secondsite-point/1', ...manifest, ...wrong }));
      expect(() => decodePoint(bytes, expected)).toThrow('points/000000000001.json is malformed');
    }
    expect(() => decodePoint(authentic('[1]'), expected)).toThrow('points/000000000001.json is malformed');
    expect(() => encodePoint({ ...manifest, disks: [] }, dataKey)).toThrow('disks');
  });

  it('is refused by name whatever bytes are in its place', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 300 }), fc.json());
    fc.assert(
      fc.property(bytes, (bytes) => {
        expect(() => decodePoint(Buffer.from(bytes as string), expected)).toThrow(
          'points/000000000001.json is ',
        );
      }),
    );
  });
});

describe('the parts of a segment', () => {
  it('are read within bounds, or not at all, whatever bytes are in their place', () => {
    const fields = fc.record({
      frames: fc.nat(2 ** 32 - 1),
      indexOffset: fc.nat(2 ** 32 - 1),
      indexBytes: fc.nat(2 ** 32 - 1),
      headerBytes: fc.nat(65_535),
      segmentBytes: fc.nat(2 ** 33),
    });
    fc.assert(
      fc.property(
        fields,
        fc.uint8Array({ minLength: FOOTER_BYTES, maxLength: FOOTER_BYTES }),
        (fields, random) => {
          const bytes = Buffer.from(random);
          bytes.write('SSEND\r\n\x1a', 0, 'latin1');
          bytes.writeUInt16LE(1, 8);
          bytes.writeUInt16LE(fields.headerBytes, 10);
          bytes.writeUInt32LE(fields.frames, 12);
          bytes.writeUInt32LE(fields.indexOffset, 16);
          bytes.writeUInt32LE(fields.indexBytes, 20);
          bytes.writeUInt32LE(0, 24);
          bytes.writeUInt32LE(0, 28);
          const whole = fields.indexOffset + fields.indexBytes + FOOTER_BYTES;
          for (const segmentBytes of [fields.segmentBytes, whole]) {
            const footer = decodeFooter(bytes, segmentBytes);
            expect(footer === undefined || footer.counts.frames <= MAX_FRAMES_PER_SEGMENT).toBe(true);
            expect(footer === undefined || footer.indexOffset + footer.indexBytes < segmentBytes).toBe(true);
          }
        },
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        const bytes = Buffer.concat([Buffer.from('SSSEG\r\n\x1a\x01\0', 'latin1'), Buffer.from(random)]);
        const header = decodeHeader(bytes);
        expect(header === undefined || header.itemId.length > 0).toBe(true);
      }),
    );
  });

  it('include no index that unpacks to more than its footer says', () => {
    const index = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
    const counts = { frames: 2, zeroFrames: 0, dataSectors: 2, zeroSectors: 0 };
    const footer = {
      headerBytes: 60,
      indexOffset: 300,
      indexBytes: index.length,
      counts,
      salt: index,
      mac: index,
    };
    expect(decodeIndex(index, footer)).toBeUndefined();
  });
});
