import { UnknownTraceFormat, type EventLayout, type PageLayout } from './trace-layout.ts';

/** What a page was found to hold. */
export interface PageContent {
  /** Events of any kind, read operations too; without padding and time stamps. */
  events: number;
  /** The kernel says that events before this page were lost. */
  missed: boolean;
}

/** Called for each completed operation that may have changed the disk: writes, write-zeroes, discards. */
export type WriteVisitor = (write: { device: number; sector: number; sectors: number }) => void;

const missedEvents = 0x8000_0000;
const commitMask = 0xf_ffff;
const headerBytes = 4;
const smallDataAtMost = 28;
const padding = 29;
const timeExtend = 30;
const timeStamp = 31;
const readsBeginWith = 'R'.codePointAt(0);

/**
 * Reads a page of a per-CPU ring buffer.
 *
 * Commit: length of the data in the low 20 bits; bit 31: events were lost before; bit 30: how many stands after the data.
 * An event's header is a little-endian u32: type and length in the low 5 bits, time delta above.
 *
 * @throws UnknownTraceFormat
 */
export function readPage(
  page: Buffer,
  layout: { page: PageLayout; event: EventLayout },
  visit: WriteVisitor,
): PageContent {
  const { commit, data } = layout.page;
  if (page.length < data.offset) throw new UnknownTraceFormat(`a page of ${page.length} bytes`);
  const word = page.readUInt32LE(commit.offset);
  const end = data.offset + (word & commitMask);
  if (end > page.length || end > layout.page.pageBytes)
    throw new UnknownTraceFormat(`a page whose data ends at ${end} of ${page.length} bytes`);
  let events = 0;
  for (let at = data.offset; at < end;) {
    const record = recordAt(page, at, end);
    if (record.payload !== undefined) {
      events += 1;
      visitWrite(page.subarray(record.payload, record.end), layout.event, visit);
    }
    at = record.end;
  }
  return { events, missed: (word & missedEvents) !== 0 };
}

/** Where a record's payload begins, if it is an event, and where the next record does. */
function recordAt(page: Buffer, at: number, end: number): { payload?: number; end: number } {
  requireWithin(at + headerBytes, end);
  const header = page.readUInt32LE(at);
  const type = header & 0x1f;
  if (type >= 1 && type <= smallDataAtMost) {
    const next = at + headerBytes + type * 4;
    requireWithin(next, end);
    return { payload: at + headerBytes, end: next };
  }
  if (type === padding && header >>> 5 === 0) return { end };
  requireWithin(at + 8, end);
  if (type === timeExtend || type === timeStamp) return { end: at + 8 };
  const next = at + headerBytes + page.readUInt32LE(at + headerBytes);
  requireWithin(next, end);
  if (next < at + 8) throw new UnknownTraceFormat(`a record of ${next - at} bytes`);
  return type === padding ? { end: next } : { payload: at + 8, end: next };
}

function visitWrite(payload: Buffer, layout: EventLayout, visit: WriteVisitor): void {
  const { id, type, device, sector, sectors, operation } = layout;
  if (payload.length < type.offset + 2) throw new UnknownTraceFormat(`an event of ${payload.length} bytes`);
  if (payload.readUInt16LE(type.offset) !== id) return;
  const neededBytes = Math.max(operation.offset + operation.size, sector.offset + 8, sectors.offset + 4);
  if (payload.length < neededBytes)
    throw new UnknownTraceFormat(`a block event of ${payload.length} bytes in place of ${neededBytes}`);
  const count = payload.readUInt32LE(sectors.offset);
  if (count === 0 || payload[operation.offset] === readsBeginWith) return;
  const first = payload.readUInt32LE(sector.offset) + payload.readUInt32LE(sector.offset + 4) * 2 ** 32;
  visit({ device: payload.readUInt32LE(device.offset), sector: first, sectors: count });
}

function requireWithin(at: number, end: number): void {
  if (at > end) throw new UnknownTraceFormat(`a record that ends at ${at}, behind the data's end at ${end}`);
}
