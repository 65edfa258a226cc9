import { array, assert, boolean, constantFrom, integer, property, record, uint8Array } from 'fast-check';
import { expect, test } from 'vitest';
import { DomainError } from '../../shared/fault.ts';
import { extentHeaderBytes, writeExtentHeader } from '../../shared/wire/agent.ts';
import { ExtentParser, type ReceivedExtent } from './extent-parser.ts';

const disks = [
  { diskId: 'a', sizeBytes: 1024 * 1024 },
  { diskId: 'b', sizeBytes: 2048 },
];

const Extent = record({
  diskIndex: constantFrom(0, 1),
  zero: boolean(),
  sectors: integer({ min: 1, max: 2 }),
  sector: integer({ min: 0, max: 2 }),
  fill: integer({ min: 0, max: 255 }),
}).map(({ sectors, sector, ...rest }) => ({
  ...rest,
  lengthBytes: sectors * 512,
  offsetBytes: sector * 512,
}));

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
      expect(found.map(({ data, ...header }) => ({ ...header, fill: data?.[0] }))).toEqual(
        extents.map(({ fill, ...header }) => ({ ...header, fill: header.zero ? undefined : fill })),
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

function encode(extent: {
  fill: number;
  zero: boolean;
  lengthBytes: number;
  offsetBytes: number;
  diskIndex: number;
}): Buffer {
  const header = Buffer.alloc(extentHeaderBytes);
  writeExtentHeader(header, 0, extent);
  return extent.zero ? header : Buffer.concat([header, Buffer.alloc(extent.lengthBytes, extent.fill)]);
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
