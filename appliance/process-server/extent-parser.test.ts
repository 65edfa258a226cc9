import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { array, assert, constantFrom, integer, property, record, uint8Array } from 'fast-check';
import { expect, test } from 'vitest';
import { DomainError } from '../../shared/fault.ts';
import { extentHeaderBytes, writeExtentHeader, type ExtentHeader } from '../../shared/wire/agent.ts';
import { ExtentParser, type ReceivedExtent } from './extent-parser.ts';

const disks = [
  { diskId: 'a', sizeBytes: 1024 * 1024 },
  { diskId: 'b', sizeBytes: 2048 },
];

const Extent = record({
  diskIndex: constantFrom(0, 1),
  kind: constantFrom('zero', 'packed', 'plain'),
  sectors: integer({ min: 1, max: 2 }),
  sector: integer({ min: 0, max: 2 }),
  fill: integer({ min: 0, max: 255 }),
}).map(({ sectors, sector, kind, fill, diskIndex }) => {
  const lengthBytes = sectors * 512;
  const plain = Buffer.alloc(lengthBytes, fill);
  const packed = zstdCompressSync(plain);
  const body = { zero: Buffer.alloc(0), packed, plain }[kind];
  const packedBytes = kind === 'packed' ? packed.length : 0;
  const header = { diskIndex, zero: kind === 'zero', lengthBytes, offsetBytes: sector * 512, packedBytes };
  return { header, body, fill: kind === 'zero' ? undefined : fill };
});

test('finds the same extents however the body is cut', () => {
  const bodies = array(Extent, { maxLength: 12 });
  const cuts = array(integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 50 });
  assert(
    property(bodies, cuts, (extents, sizes) => {
      const body = Buffer.concat(extents.map(encode));
      const found: ReceivedExtent[] = [];
      const parser = new ExtentParser(disks, (extent) => found.push(extent));
      for (let at = 0, cut = 0; at < body.length; cut += 1) {
        const size = sizes[cut % sizes.length] ?? 1;
        parser.push(body.subarray(at, at + size));
        at += size;
      }
      parser.end();
      expect(found.map(({ data, ...header }) => ({ header, fill: fillOf(header, data) }))).toEqual(
        extents.map(({ header, fill }) => ({ header, fill })),
      );
    }),
  );
});

test('refuses any rubbish without more memory than one extent', () => {
  assert(
    property(uint8Array({ minLength: extentHeaderBytes, maxLength: 4_096 }), (bytes) => {
      const parser = new ExtentParser(disks, ({ lengthBytes, offsetBytes, diskIndex }) => {
        expect(offsetBytes + lengthBytes).toBeLessThanOrEqual(disks[diskIndex]?.sizeBytes ?? 0);
      });
      expect(['taken', 'InvalidRequest']).toContain(outcomeOf(parser, Buffer.from(bytes)));
    }),
  );
});

function encode({ header, body }: { header: ExtentHeader; body: Buffer }): Buffer {
  const bytes = Buffer.alloc(extentHeaderBytes);
  writeExtentHeader(bytes, 0, header);
  return Buffer.concat([bytes, body]);
}

function fillOf({ packedBytes }: ExtentHeader, data: Uint8Array | undefined): number | undefined {
  return data && (packedBytes > 0 ? zstdDecompressSync(data) : data)[0];
}

function outcomeOf(parser: ExtentParser, bytes: Buffer): string {
  try {
    parser.push(bytes);
    parser.end();
    return 'taken';
  } catch (error) {
    return error instanceof DomainError ? error.fault.code : String(error);
  }
}
