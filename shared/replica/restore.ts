import type { PointState, PointView } from './chain-rules.ts';
import { readChain } from './chain.ts';
import type { ReadTo } from './chain.ts';
import { copyRuns } from './copy-runs.ts';
import type { SectorRange } from './extent-map.ts';
import type { FramePool } from './frame-pool.ts';
import { SECTOR_BYTES, findSequence } from './layout.ts';
import { readOverlay } from './overlay.ts';
import type { PointDisk } from './point.ts';
import { ReplicaError } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import type { RestoreTarget } from './restore-target.ts';
import { verifyChain } from './verify-chain.ts';

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
  /** With the hash, from an anchor or a recovery point's record, and with the anchored compaction the whole chain is tied to it. */
  point: ReadTo;
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
  records: readonly PointView[];
  manifest: PointState;
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
      await copyRuns(request, overlay, {
        write: (offsetBytes, data) => request.target.write(offsetBytes, data),
        onRead: ({ bytesRead, runs }) => {
          progress.bytesRead += bytesRead;
          progress.bytesWritten += bytesOf(runs);
          request.onProgress?.({ ...progress });
        },
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
