/**
 * Spans of AMQP 1.0 encodings, found without decoding what the broker has no use for, so that a message's
 * bare part (properties to footer) is stored and delivered byte for byte as its sender encoded it.
 */

/** Bytes that are not the AMQP encoding they should be. */
export class MalformedEncoding extends Error {}

/** A part of a buffer: from `start` up to, not including, `end`. */
export interface Span {
  start: number;
  end: number;
}

/** One section of an encoded message: its descriptor code, the span of its value and where it starts. */
export interface Section {
  code: number;
  start: number;
  value: Span;
}

const FIXED_WIDTHS = [0, 1, 2, 4, 8, 16];

/**
 * Where the value starting at `at` ends.
 * @throws MalformedEncoding when the value runs past the buffer or has no known type code.
 */
export function valueEnd(bytes: Buffer, at: number): number {
  let start = at;
  while (byteAt(bytes, start) === 0x00) start = valueEnd(bytes, start + 1);
  const category = byteAt(bytes, start) >>> 4;
  const end = start + valueLength(bytes, start, category);
  if (end > bytes.length) throw new MalformedEncoding('a value runs past the end of the message');
  return end;
}

function valueLength(bytes: Buffer, start: number, category: number): number {
  const width = FIXED_WIDTHS[category - 4];
  if (width !== undefined) return 1 + width;
  if (category === 0xa || category === 0xc || category === 0xe) return 2 + byteAt(bytes, start + 1);
  if (category === 0xb || category === 0xd || category === 0xf) return 5 + uint32At(bytes, start + 1);
  throw new MalformedEncoding('a value has an unknown type code');
}

function byteAt(bytes: Buffer, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new MalformedEncoding('the message ends inside a value');
  return byte;
}

function uint32At(bytes: Buffer, at: number): number {
  if (at + 4 > bytes.length) throw new MalformedEncoding('the message ends inside a value');
  return bytes.readUInt32BE(at);
}

/**
 * The sections of an encoded message, in their order.
 * @throws MalformedEncoding when the bytes are not a sequence of described sections.
 */
export function readSections(bytes: Buffer): Section[] {
  const sections: Section[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] !== 0x00) throw new MalformedEncoding('a section has no descriptor');
    const valueStart = valueEnd(bytes, at + 1);
    const end = valueEnd(bytes, valueStart);
    sections.push({ code: readInteger(bytes, at + 1) ?? -1, start: at, value: { start: valueStart, end } });
    at = end;
  }
  return sections;
}

/** The items of the list or map at `at`; a map's keys and values alternate. */
export function readItems(bytes: Buffer, at: number): Span[] {
  const code = byteAt(bytes, at);
  if (code === 0x45) return [];
  const wide = code === 0xd0 || code === 0xd1;
  if (!wide && code !== 0xc0 && code !== 0xc1) throw new MalformedEncoding('expected a list or a map');
  const count = wide ? uint32At(bytes, at + 5) : byteAt(bytes, at + 2);
  const items: Span[] = [];
  let start = at + (wide ? 9 : 3);
  for (let index = 0; index < count; index++) {
    const end = valueEnd(bytes, start);
    items.push({ start, end });
    start = end;
  }
  return items;
}

type ReadNumber = (bytes: Buffer, at: number) => number;
const readByte: ReadNumber = (bytes, at) => byteAt(bytes, at);
const readSigned: ReadNumber = (bytes, at) => bytes.readInt8(at);
const readEightBytes: ReadNumber = (bytes, at) => Number(bytes.readBigInt64BE(at));

/** By type code, how the number after it is read. */
const NUMBERS = new Map<number, ReadNumber>([
  [0x43, () => 0],
  [0x44, () => 0],
  [0x50, readByte],
  [0x52, readByte],
  [0x53, readByte],
  [0x51, readSigned],
  [0x54, readSigned],
  [0x55, readSigned],
  [0x60, (bytes, at) => bytes.readUInt16BE(at)],
  [0x61, (bytes, at) => bytes.readInt16BE(at)],
  [0x70, (bytes, at) => bytes.readUInt32BE(at)],
  [0x71, (bytes, at) => bytes.readInt32BE(at)],
  [0x80, readEightBytes],
  [0x81, readEightBytes],
  [0x83, readEightBytes],
]);

/** The number at `at` (any integer type or a timestamp), or undefined where there is no number. */
export function readInteger(bytes: Buffer, at: number): number | undefined {
  return NUMBERS.get(byteAt(bytes, at))?.(bytes, at + 1);
}

/** The boolean at `at`; null and anything else count as false. */
export function readBoolean(bytes: Buffer, at: number): boolean {
  const code = byteAt(bytes, at);
  return code === 0x41 || (code === 0x56 && bytes[at + 1] === 1);
}

/** The text or symbol at `at`, or undefined where there is none. */
export function readText(bytes: Buffer, at: number): string | undefined {
  switch (byteAt(bytes, at)) {
    case 0xa1:
    case 0xa3:
      return bytes.toString('utf8', at + 2, valueEnd(bytes, at));
    case 0xb1:
    case 0xb3:
      return bytes.toString('utf8', at + 5, valueEnd(bytes, at));
    default:
      return undefined;
  }
}

/** The binary at `at`, as a view of the buffer, or undefined where there is none. */
export function readBinary(bytes: Buffer, at: number): Buffer | undefined {
  const code = byteAt(bytes, at);
  if (code !== 0xa0 && code !== 0xb0) return undefined;
  return bytes.subarray(at + (code === 0xa0 ? 2 : 5), valueEnd(bytes, at));
}

/** An encoded string. */
export function writeText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length < 256) return Buffer.concat([Buffer.from([0xa1, bytes.length]), bytes]);
  return Buffer.concat([Buffer.from([0xb1]), uint32(bytes.length), bytes]);
}

/** An encoded symbol of at most 255 ASCII characters. */
export function writeSymbol(symbol: string): Buffer {
  return Buffer.concat([Buffer.from([0xa3, symbol.length]), Buffer.from(symbol, 'ascii')]);
}

/** A described section holding a list (0xd0) or a map (0xd1) of items that are encoded already. */
export function writeSection(code: number, type: 0xd0 | 0xd1, items: Buffer[], count: number): Buffer {
  let length = 0;
  for (const item of items) length += item.length;
  const head = Buffer.allocUnsafe(12);
  head[0] = 0x00;
  head[1] = 0x53;
  head[2] = code;
  head[3] = type;
  head.writeUInt32BE(length + 4, 4);
  head.writeUInt32BE(count, 8);
  return Buffer.concat([head, ...items], 12 + length);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
