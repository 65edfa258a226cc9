/** Reads what an overlay shows of a disk: restores and compaction do. */
import { KiB, MiB } from '../bytes.ts';
import { forEachOf } from './concurrently.ts';
import type { Run, SectorRange } from './extent-map.ts';
import { FRAME_OVERHEAD_BYTES, decodeFrameHeader, openFrame } from './frame.ts';
import type { FramePool } from './frame-pool.ts';
import { free } from './free.ts';
import { SECTOR_BYTES } from './layout.ts';
import type { Overlay, OverlaySegment } from './overlay.ts';
import { ReplicaError, refuse } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';

/** Frames of a segment that lie this close are read in one request, of this many bytes at most. */
const MAX_GAP_BYTES = 64 * KiB;
const MAX_READ_BYTES = 4 * MiB;
const READS_AT_ONCE = 4;

/** Whose disk is read. */
export interface RunSource {
  log: ReplicaLog;
  /** Number of the disk. */
  disk: number;
  /** Opens frames in threads; without it they are opened here. */
  pool?: FramePool;
  signal?: AbortSignal;
}

/** Where the bytes go. */
export interface RunSink {
  /** Several calls may be under way. The bytes are the caller's again when it resolves. */
  write(offsetBytes: number, data: Uint8Array): Promise<void>;
  onRead?(done: { bytesRead: number; runs: readonly SectorRange[] }): void;
}

/**
 * Reads the runs of an overlay that have bytes, in the order in which the segments hold them.
 *
 * @throws ReplicaError naming the segment that is wrong, and the point that needs it first.
 */
export async function copyRuns(source: RunSource, overlay: Overlay, sink: RunSink): Promise<void> {
  await forEachOf(readsOf(overlay), READS_AT_ONCE, async (read) => {
    source.signal?.throwIfAborted();
    await copy(source, read, (offsetBytes, data) => sink.write(offsetBytes, data));
    sink.onRead?.({ bytesRead: read.endsAt - read.beginsAt, runs: read.runs });
  });
}

/** Neighbouring frames of one segment, read in one request, and the runs that need them. */
interface Read {
  segment: OverlaySegment;
  beginsAt: number;
  endsAt: number;
  runs: Run[];
}

function* readsOf({ map, segments }: Overlay): Generator<Read, void, undefined> {
  let read: (Read & { at: number }) | undefined;
  for (const position of map.byPlace()) {
    const run = map.run(position);
    const endsAt = run.fileOffset + FRAME_OVERHEAD_BYTES + run.payloadLength;
    const isNear = read?.at === run.segment && run.fileOffset - read.endsAt <= MAX_GAP_BYTES;
    if (read !== undefined && isNear && endsAt - read.beginsAt <= MAX_READ_BYTES) {
      read.endsAt = Math.max(read.endsAt, endsAt);
      read.runs.push(run);
      continue;
    }
    if (read !== undefined) yield read;
    const segment = segments[run.segment];
    if (segment === undefined) throw new Error('a run of the overlay has no segment');
    read = { segment, at: run.segment, beginsAt: run.fileOffset, endsAt, runs: [run] };
  }
  if (read !== undefined) yield read;
}

async function copy(source: RunSource, read: Read, write: RunSink['write']): Promise<void> {
  const { reference, point } = read.segment;
  try {
    const range = await source.log.store.findRange(
      reference.name,
      read.beginsAt,
      read.endsAt - read.beginsAt,
    );
    if (range === undefined) return refuse('Missing', reference.name, 'the store has no such blob');
    if (range.bytes.length < read.endsAt - read.beginsAt) {
      refuse('Truncated', reference.name, `it has ${range.sizeBytes} of ${reference.sizeBytes} bytes`);
    }
    await writeRuns(source, { ...read, bytes: range.bytes }, write);
    free(range.bytes);
  } catch (error) {
    throw error instanceof ReplicaError ? new ReplicaError({ ...error.defect, firstPoint: point }) : error;
  }
}

async function writeRuns(
  source: RunSource,
  read: Read & { bytes: Buffer },
  write: RunSink['write'],
): Promise<void> {
  let opened: { fileOffset: number; firstSector: number; data: Buffer } | undefined;
  for (const run of read.runs) {
    if (opened?.fileOffset !== run.fileOffset) {
      if (opened !== undefined) free(opened.data);
      const from = run.fileOffset - read.beginsAt;
      const frame = read.bytes.subarray(from, from + FRAME_OVERHEAD_BYTES + run.payloadLength);
      opened = { fileOffset: run.fileOffset, ...(await open(source, read.segment, { run, frame })) };
    }
    const from = (run.startSector - opened.firstSector) * SECTOR_BYTES;
    const length = (run.endSector - run.startSector) * SECTOR_BYTES;
    await write(run.startSector * SECTOR_BYTES, opened.data.subarray(from, from + length));
  }
  if (opened !== undefined) free(opened.data);
}

/** Opens the frame a run comes from, having compared the frame's own header with what the index said. */
async function open(
  source: RunSource,
  segment: OverlaySegment,
  { run, frame }: { run: Run; frame: Buffer },
): Promise<{ firstSector: number; data: Buffer }> {
  const { name, sequence } = segment.reference;
  const header = decodeFrameHeader(frame);
  const isNamed = header?.number === run.number && header.payloadLength === run.payloadLength;
  const covers = header?.disk === source.disk && header.firstSector <= run.startSector;
  if (!isNamed || !covers || header.firstSector + header.sectorCount < run.endSector) {
    return refuse('Altered', name, `frame ${run.number} is not at byte ${run.fileOffset}`);
  }
  const slot = { sequence, frameKey: segment.frameKey };
  try {
    const data = await (source.pool === undefined ? openFrame(slot, frame) : source.pool.open(slot, frame));
    return { firstSector: header.firstSector, data };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuse('Altered', name, `frame ${run.number} does not open (${reason})`);
  }
}
