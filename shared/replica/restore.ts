import { KiB, MiB } from '../bytes.ts';
import type { PointRecord } from './chain-rules.ts';
import { readChain } from './chain.ts';
import { forEachOf } from './concurrently.ts';
import type { Run, SectorRange } from './extent-map.ts';
import { FRAME_OVERHEAD_BYTES, decodeFrameHeader, openFrame } from './frame.ts';
import type { FramePool } from './frame-pool.ts';
import { free } from './free.ts';
import { SECTOR_BYTES, findSequence } from './layout.ts';
import { readOverlay } from './overlay.ts';
import type { Overlay, OverlaySegment } from './overlay.ts';
import type { PointDisk, PointManifest } from './point.ts';
import { ReplicaError, refuse } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import type { RestoreTarget } from './restore-target.ts';
import { verifyChain } from './verify-chain.ts';

/** Frames of a segment that lie this close are read in one request, of this many bytes at most. */
const MAX_GAP_BYTES = 64 * KiB;
const MAX_READ_BYTES = 4 * MiB;
const READS_AT_ONCE = 4;

/** How far a restore has come. */
export interface RestoreProgress {
  /** Bytes of the disk written, of those that the index says are not zeros. */
  bytesWritten: number;
  bytesTotal: number;
  /** Fetched from the store, indexes not counted. */
  bytesRead: number;
}

/** What to restore, and where to. */
export interface RestoreRequest {
  log: ReplicaLog;
  /** With the hash, from an anchor or a recovery point's record, the whole chain is tied to it. */
  point: { sequence: number; hash?: string };
  /** Number of the disk. */
  disk: number;
  target: RestoreTarget;
  /** Opens frames in threads; without it they are opened here. */
  pool?: FramePool;
  onProgress?: (progress: RestoreProgress) => void;
  signal?: AbortSignal;
}

/** Part of a disk; both multiples of 512. */
export interface ByteRange {
  offsetBytes: number;
  lengthBytes: number;
}

/**
 * Restores a whole disk as it was at a point.
 *
 * @throws ReplicaError naming the blob that is wrong and the nearest point that does not need it. The target then has
 *   no footer and no final name.
 */
export async function restoreDisk(request: RestoreRequest): Promise<RestoreProgress> {
  const plan = await planRestore(request);
  await request.target.prepare(plan.disk.sizeBytes);
  const done = await restoreRange(request, { offsetBytes: 0, lengthBytes: plan.disk.sizeBytes }, plan);
  await finishRestore(request, plan);
  return done;
}

/** What is to be restored, read and proven. */
export interface RestorePlan {
  /** The chain up to the point. */
  records: readonly PointRecord[];
  manifest: PointManifest;
  disk: PointDisk;
}

/** Reads the chain up to the point. A fan-out then cuts `plan.disk.sizeBytes` into ranges. */
export async function planRestore(
  request: Pick<RestoreRequest, 'log' | 'point' | 'disk'>,
): Promise<RestorePlan> {
  const { log, point } = request;
  const records = await offeringNearest(request, () => readChain(log, point));
  const manifest = records.at(-1)?.manifest;
  const disk = manifest?.disks.find((disk) => disk.number === request.disk);
  if (manifest === undefined || disk === undefined) {
    const known = manifest?.disks.map((disk) => disk.number).join(', ') ?? 'none';
    throw new RangeError(`point ${point.sequence} has no disk ${request.disk}; it has: ${known}`);
  }
  return { records, manifest, disk };
}

/**
 * Restores part of a disk into a prepared target. Parts may be restored by several processes at once.
 *
 * @throws ReplicaError as `restoreDisk`.
 */
export async function restoreRange(
  request: RestoreRequest,
  range: ByteRange,
  plan?: RestorePlan,
): Promise<RestoreProgress> {
  const { records } = plan ?? (await planRestore(request));
  return offeringNearest(request, async () => {
    const overlay = await readOverlay(request.log, records, { disk: request.disk, range: sectorsOf(range) });
    const progress = { bytesWritten: 0, bytesTotal: overlay.map.dataBytes(), bytesRead: 0 };
    try {
      await forEachOf(readsOf(overlay), READS_AT_ONCE, async (read) => {
        request.signal?.throwIfAborted();
        await copy(request, read);
        progress.bytesRead += read.endsAt - read.beginsAt;
        progress.bytesWritten += bytesOf(read.runs);
        request.onProgress?.({ ...progress });
      });
    } finally {
      await request.target.close();
    }
    return progress;
  });
}

/** Completes a target whose parts are all restored. */
export async function finishRestore(
  request: Pick<RestoreRequest, 'log' | 'target'>,
  { manifest, disk }: Pick<RestorePlan, 'manifest' | 'disk'>,
): Promise<void> {
  const identity = `${request.log.itemId}\n${manifest.sequence}\n${disk.id}`;
  await request.target.finish({ sizeBytes: disk.sizeBytes, identity, time: new Date(manifest.time) });
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

async function copy(request: RestoreRequest, read: Read): Promise<void> {
  const { reference, point } = read.segment;
  try {
    const range = await request.log.store.findRange(
      reference.name,
      read.beginsAt,
      read.endsAt - read.beginsAt,
    );
    if (range === undefined) return refuse('Missing', reference.name, 'the store has no such blob');
    if (range.bytes.length < read.endsAt - read.beginsAt) {
      refuse('Truncated', reference.name, `it has ${range.sizeBytes} of ${reference.sizeBytes} bytes`);
    }
    await writeRuns(request, read, range.bytes);
    free(range.bytes);
  } catch (error) {
    throw error instanceof ReplicaError ? new ReplicaError({ ...error.defect, firstPoint: point }) : error;
  }
}

async function writeRuns(request: RestoreRequest, read: Read, bytes: Buffer): Promise<void> {
  let opened: { fileOffset: number; firstSector: number; data: Buffer } | undefined;
  for (const run of read.runs) {
    if (opened?.fileOffset !== run.fileOffset) {
      if (opened !== undefined) free(opened.data);
      const from = run.fileOffset - read.beginsAt;
      const frame = bytes.subarray(from, from + FRAME_OVERHEAD_BYTES + run.payloadLength);
      opened = { fileOffset: run.fileOffset, ...(await open(request, read.segment, { run, frame })) };
    }
    const from = (run.startSector - opened.firstSector) * SECTOR_BYTES;
    const length = (run.endSector - run.startSector) * SECTOR_BYTES;
    await request.target.write(run.startSector * SECTOR_BYTES, opened.data.subarray(from, from + length));
  }
  if (opened !== undefined) free(opened.data);
}

/** Opens the frame a run comes from, having compared the frame's own header with what the index said. */
async function open(
  request: RestoreRequest,
  segment: OverlaySegment,
  { run, frame }: { run: Run; frame: Buffer },
): Promise<{ firstSector: number; data: Buffer }> {
  const { name, sequence } = segment.reference;
  const header = decodeFrameHeader(frame);
  const isNamed = header?.number === run.number && header.payloadLength === run.payloadLength;
  const covers = header?.disk === request.disk && header.firstSector <= run.startSector;
  if (!isNamed || !covers || header.firstSector + header.sectorCount < run.endSector) {
    return refuse('Altered', name, `frame ${run.number} is not at byte ${run.fileOffset}`);
  }
  const slot = { sequence, frameKey: segment.frameKey };
  try {
    const data = await (request.pool === undefined ? openFrame(slot, frame) : request.pool.open(slot, frame));
    return { firstSector: header.firstSector, data };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return refuse('Altered', name, `frame ${run.number} does not open (${reason})`);
  }
}

/** Runs work of a restore; where it meets a defect, looks for the nearest point that can be offered instead. */
async function offeringNearest<T>(request: Pick<RestoreRequest, 'log'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ReplicaError) || error.nearestGoodPoint !== undefined) throw error;
    const firstPoint = error.defect.firstPoint ?? findSequence(error.defect.blob) ?? 1;
    const found = await verifyChain(request.log, { upTo: firstPoint - 1 }).catch(() => undefined);
    const nearest = found === undefined ? undefined : found.lastGoodPoint || null;
    throw new ReplicaError({ ...error.defect, firstPoint }, nearest, { cause: error });
  }
}

function sectorsOf({ offsetBytes, lengthBytes }: ByteRange): SectorRange {
  if (
    offsetBytes % SECTOR_BYTES !== 0 ||
    lengthBytes % SECTOR_BYTES !== 0 ||
    offsetBytes < 0 ||
    lengthBytes < 0
  ) {
    throw new RangeError(`a range is whole 512-byte sectors: offset ${offsetBytes}, length ${lengthBytes}`);
  }
  return { startSector: offsetBytes / SECTOR_BYTES, endSector: (offsetBytes + lengthBytes) / SECTOR_BYTES };
}

function bytesOf(runs: readonly SectorRange[]): number {
  return runs.reduce((sum, run) => sum + (run.endSector - run.startSector) * SECTOR_BYTES, 0);
}
