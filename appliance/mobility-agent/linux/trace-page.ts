import { UnknownTraceFormat, type EventLayout, type PageLayout } from './trace-layout.ts';

/** What a page was found to hold. */
export interface PageContent {
  /** Events of any kind, read operations too; without padding and time stamps. */
  events: number;
  /** The kernel says that events before this page were lost. */
  missed: boolean;
}

/**
 * Called for each completed operation that may have changed the disk: writes, write-zeroes, discards. With numbers, not
 * an object: a busy disk has a hundred thousand a second.
 */
export type WriteVisitor = (device: number, sector: number, sectors: number) => void;

const missedEvents = 0x8000_0000;
const commitMask = 0xf_ffff;
const headerBytes = 4;
const typeMask = 0x1f;
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
    const next = endOfRecord(page, at, end);
    const type = page.readUInt32LE(at) & typeMask;
    if (type <= smallDataAtMost) {
      events += 1;
      visitWrite(
        { page, at: at + (type === 0 ? 2 * headerBytes : headerBytes), end: next },
        layout.event,
        visit,
      );
    }
    at = next;
  }
  return { events, missed: (word & missedEvents) !== 0 };
}

/** Where the record behind the one at this place begins. */
function endOfRecord(page: Buffer, at: number, end: number): number {
  requireWithin(at + headerBytes, end);
  const header = page.readUInt32LE(at);
  const type = header & typeMask;
  if (type >= 1 && type <= smallDataAtMost) {
    const next = at + headerBytes + type * 4;
    requireWithin(next, end);
    return next;
  }
  if (type === padding && header >>> 5 === 0) return end;
  requireWithin(at + 2 * headerBytes, end);
  if (type === timeExtend || type === timeStamp) return at + 2 * headerBytes;
  const next = at + headerBytes + page.readUInt32LE(at + headerBytes);
  requireWithin(next, end);
  if (next < at + 2 * headerBytes) throw new UnknownTraceFormat(`a record of ${next - at} bytes`);
  return next;
}

/** An event's payload in its page. */
interface Payload {
  page: Buffer;
  at: number;
  end: number;
}

function visitWrite({ page, at, end }: Payload, layout: EventLayout, visit: WriteVisitor): void {
  const { id, type, device, sector, sectors, operation } = layout;
  if (end - at < type.offset + 2) throw new UnknownTraceFormat(`an event of ${end - at} bytes`);
  if (page.readUInt16LE(at + type.offset) !== id) return;
  const neededBytes = Math.max(operation.offset + operation.size, sector.offset + 8, sectors.offset + 4);
  if (end - at < neededBytes)
    throw new UnknownTraceFormat(`a block event of ${end - at} bytes in place of ${neededBytes}`);
  const count = page.readUInt32LE(at + sectors.offset);
  if (count === 0 || page[at + operation.offset] === readsBeginWith) return;
  const first = page.readUInt32LE(at + sector.offset) + page.readUInt32LE(at + sector.offset + 4) * 2 ** 32;
  visit(page.readUInt32LE(at + device.offset), first, count);
}

function requireWithin(at: number, end: number): void {
  if (at > end) throw new UnknownTraceFormat(`a record that ends at ${at}, behind the data's end at ${end}`);
}
