import { MiB } from '../../../shared/bytes.ts';
import { isZero } from '../../../shared/replica/frame.ts';
import type { Piece } from '../disk-source.ts';
import { readBytesAtMost, type DirectReader } from './direct-reader.ts';
import { DirtyMap, type Extent } from './dirty-map.ts';
import type { LinuxBlockDevice } from './linux-block-device.ts';
import { swapAreas } from './mounts.ts';

/** What may be kept in memory of a frozen machine. */
const restBytesAtMost = 96 * MiB;
/** Readings of a disk that something goes on writing to, before that is given up. */
const readingsAtMost = 6;

/** What was left when the file systems were frozen. */
export interface Rest {
  pieces: { diskIndex: number; piece: Piece }[];
  /** The same as pages, by disk. */
  pages: DirtyMap[];
  bytes: number;
  /** No write completed while it was read. */
  isQuiet: boolean;
}

/** So much changed since the last round that it would have to be frozen too long, or kept in too much memory. */
export class RestTooLarge extends Error {
  override readonly name = 'RestTooLarge';
}

/** Reads pages and sends them. Gives how many bytes they were. */
export async function copyExtents(
  reader: DirectReader,
  pages: DirtyMap,
  send: (piece: Piece) => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  let copied = 0;
  await reader.read(pages.extents(readBytesAtMost), async (extent, bytes) => {
    signal.throwIfAborted();
    copied += extent.lengthBytes;
    await send(pieceOf(extent, bytes));
  });
  return copied;
}

/**
 * Reads what is dirty into memory, and again what is written meanwhile, until nothing was: then all is of one moment.
 *
 * @param deadline as performance.now() counts
 * @throws RestTooLarge, TrackingLost; then the pages are dirty as before
 */
export async function copyRest(
  devices: readonly LinuxBlockDevice[],
  deadline: number,
  signal: AbortSignal,
): Promise<Rest> {
  const pages = devices.map(({ sizeBytes }) => new DirtyMap(sizeBytes));
  try {
    settleAll(devices);
    for (let reading = 1; ; reading += 1) {
      signal.throwIfAborted();
      for (const [at, device] of devices.entries()) pages[at]?.addAll(device.tracker.take());
      const bytes = pages.reduce((sum, { dirtyBytes }) => sum + dirtyBytes, 0);
      const pieces = await readRest(devices, pages, deadline);
      settleAll(devices);
      const isQuiet = devices.every(isQuietNow);
      if (isQuiet || reading >= readingsAtMost || performance.now() > deadline)
        return { pieces, pages, bytes, isQuiet };
    }
  } catch (error) {
    for (const [at, taken] of pages.entries()) devices[at]?.tracker.giveBack(taken);
    throw error;
  }
}

async function readRest(
  devices: readonly LinuxBlockDevice[],
  pages: readonly DirtyMap[],
  deadline: number,
): Promise<Rest['pieces']> {
  const pieces: Rest['pieces'] = [];
  let keptBytes = 0;
  for (const [diskIndex, device] of devices.entries()) {
    await device.reader.read(pages[diskIndex]?.extents(readBytesAtMost) ?? [], (extent, bytes) => {
      const piece = pieceOf(extent, bytes);
      if (piece.runs[0]?.zero === false) keptBytes += extent.lengthBytes;
      if (keptBytes > restBytesAtMost)
        throw new RestTooLarge(`More than ${restBytesAtMost / MiB} MiB change faster than they can be sent.`);
      if (performance.now() > deadline)
        throw new RestTooLarge(
          'The disks are too slow for what changes on them: copying took longer than the limit.',
        );
      pieces.push({ diskIndex, piece });
    });
  }
  return pieces;
}

/** What is written to swap does not matter: nobody reads it after a restart. */
function isQuietNow({ tracker, device }: LinuxBlockDevice): boolean {
  if (tracker.dirtyBytes === 0) return true;
  const areas = swapAreas(device);
  const written = tracker.take();
  tracker.giveBack(written);
  return [...written.extents()].every((extent) => areas.some((area) => isWithin(extent, area)));
}

function isWithin(extent: Extent, area: Extent): boolean {
  const end = extent.offsetBytes + extent.lengthBytes;
  return extent.offsetBytes >= area.offsetBytes && end <= area.offsetBytes + area.lengthBytes;
}

function settleAll(devices: readonly LinuxBlockDevice[]): void {
  for (const { tracker } of devices) tracker.settle();
}

/** The bytes are copied: the buffer they were read into is needed for the next read. */
function pieceOf({ offsetBytes, lengthBytes }: Extent, bytes: Buffer): Piece {
  const zero = isZero(bytes);
  return {
    offsetBytes,
    lengthBytes,
    bytes: zero ? Buffer.alloc(0) : Buffer.from(bytes),
    hashes: new Uint8Array(0),
    runs: [{ startBytes: 0, lengthBytes, zero, packedBytes: 0 }],
    release: () => {},
  };
}
