import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEventLayout, parsePageLayout, UnknownTraceFormat } from './trace-layout.ts';
import { readPage } from './trace-page.ts';

/** As kernels describe themselves: here with values in other places than on any machine, so that nothing is by chance. */
const headerPage = [
  '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;',
  '\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;',
  '\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;',
  '\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;',
].join('\n');
const format = [
  'name: block_rq_complete',
  'ID: 1234',
  'format:',
  '\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;',
  '\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;',
  '',
  '\tfield:dev_t dev;\toffset:12;\tsize:4;\tsigned:0;',
  '\tfield:sector_t sector;\toffset:16;\tsize:8;\tsigned:0;',
  '\tfield:unsigned int nr_sector;\toffset:24;\tsize:4;\tsigned:0;',
  '\tfield:char rwbs[8];\toffset:32;\tsize:8;\tsigned:0;',
  '\tfield:__data_loc char[] cmd;\toffset:40;\tsize:4;\tsigned:0;',
].join('\n');
const layout = { page: parsePageLayout(headerPage), event: parseEventLayout(format) };

interface Operation {
  id: number;
  device: number;
  sector: bigint;
  sectors: number;
  operation: string;
}

function payloadOf({ id, device, sector, sectors, operation }: Operation): Buffer {
  const payload = Buffer.alloc(44);
  payload.writeUInt16LE(id, 0);
  payload.writeUInt32LE(device, 12);
  payload.writeBigUInt64LE(sector, 16);
  payload.writeUInt32LE(sectors, 24);
  payload.write(operation, 32, 'latin1');
  return payload;
}

function header(type: number, delta = 7): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(((delta << 5) | type) >>> 0);
  return word;
}

function number(value: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  return word;
}

type Piece = { kind: 'small' | 'long'; operation: Operation } | { kind: 'padding' | 'extend' | 'stamp' };

function bytesOf(piece: Piece): Buffer {
  if (piece.kind === 'small') {
    const payload = payloadOf(piece.operation);
    return Buffer.concat([header(payload.length / 4), payload]);
  }
  if (piece.kind === 'long') {
    const payload = payloadOf(piece.operation);
    return Buffer.concat([header(0), number(payload.length + 4), payload]);
  }
  if (piece.kind === 'padding') return Buffer.concat([header(29), number(12), Buffer.alloc(8, 0xee)]);
  return Buffer.concat([header(piece.kind === 'extend' ? 30 : 31), number(99)]);
}

function pageOf(data: Buffer, flags = 0): Buffer {
  const page = Buffer.alloc(layout.page.pageBytes, 0xaa);
  page.writeUInt32LE((flags | data.length) >>> 0, 8);
  page.writeUInt32LE(0, 12);
  data.copy(page, 16);
  return page;
}

function read(page: Buffer): { writes: object[]; events: number; missed: boolean } {
  const writes: object[] = [];
  const content = readPage(page, layout, (device, sector, sectors) =>
    writes.push({ device, sector, sectors }),
  );
  return { writes, ...content };
}

function outcomeOf(page: Buffer): string {
  try {
    read(page);
    return 'understood or refused';
  } catch (error) {
    return error instanceof UnknownTraceFormat ? 'understood or refused' : String(error);
  }
}

const operation = fc.record({
  id: fc.constantFrom(1234, 1234, 1234, 5),
  device: fc.constantFrom(7 * 2 ** 20 + 3, 0xfff_ffff),
  sector: fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 52n }), fc.constant(2n ** 64n - 1n)),
  sectors: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2 ** 32 - 1 })),
  operation: fc.constantFrom('WS', 'W', 'NS', 'DS', 'FF', 'WFSM', 'FWFS', 'R', 'RA', 'RSM'),
});
const piece: fc.Arbitrary<Piece> = fc.oneof(
  fc.record({ kind: fc.constantFrom('small' as const, 'long' as const), operation }),
  fc.record({ kind: fc.constantFrom('padding' as const, 'extend' as const, 'stamp' as const) }),
);

describe('a trace page', () => {
  it('gives every operation with sectors that is no read, whatever stands between', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), fc.boolean(), (pieces, isPadded) => {
        const parts = pieces.map(bytesOf);
        if (isPadded) parts.push(header(29, 0), Buffer.alloc(20, 0xff));
        const operations = pieces.flatMap((piece) => ('operation' in piece ? [piece.operation] : []));
        const writes = operations
          .filter(({ id, sectors, operation }) => id === 1234 && sectors > 0 && !operation.startsWith('R'))
          .map(({ device, sector, sectors }) => ({ device, sector: Number(sector), sectors }));
        expect(read(pageOf(Buffer.concat(parts)))).toEqual({
          writes,
          events: operations.length,
          missed: false,
        });
      }),
    );
  });

  it('tells that events were missed, with and without their number', () => {
    const data = bytesOf({
      kind: 'small',
      operation: { id: 1234, device: 1, sector: 8n, sectors: 8, operation: 'WS' },
    });
    for (const flags of [0x8000_0000, 0xc000_0000])
      expect(read(pageOf(data, flags))).toMatchObject({ events: 1, missed: true });
  });

  it('is refused when any record reaches over the end of the data', () => {
    const long = bytesOf({
      kind: 'long',
      operation: { id: 1234, device: 1, sector: 8n, sectors: 8, operation: 'WS' },
    });
    for (const cut of [1, 4, 20, long.length - 2])
      expect(() => read(pageOf(long.subarray(0, cut)))).toThrow(UnknownTraceFormat);
    expect(() => read(pageOf(Buffer.concat([header(0), number(2), Buffer.alloc(40)])))).toThrow(
      UnknownTraceFormat,
    );
    expect(() => read(Buffer.alloc(10))).toThrow(UnknownTraceFormat);
  });

  it('never does anything but read or refuse, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4080 }), (bytes) => {
        expect(outcomeOf(pageOf(Buffer.from(bytes)))).toBe('understood or refused');
      }),
    );
  });

  it('is refused when the kernel describes an event without the needed fields, or of other sizes', () => {
    expect(() => parseEventLayout(format.replace('sector_t sector', 'sector_t place'))).toThrow(
      'no field sector',
    );
    expect(() => parseEventLayout(format.replace('offset:24;\tsize:4', 'offset:24;\tsize:8'))).toThrow(
      'nr_sector',
    );
    expect(() => parseEventLayout(format.replace('ID: 1234', ''))).toThrow('no ID');
    expect(() => parsePageLayout('nothing')).toThrow('no field commit');
  });

  it('takes larger pages as the kernel describes them', () => {
    expect(parsePageLayout(headerPage.replace('4080', '65520')).pageBytes).toBe(65_536);
  });
});
