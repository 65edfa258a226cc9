/** How far an item's replication is, from what its appliance last said. */
import { MiB } from '../bytes.ts';
import { type KeptProgress } from '../fabric/progress.ts';
import { isoTime, secondsSince } from '../iso-time.ts';
import { type Anchor } from '../recovery/recovery-point.ts';
import { isResyncing } from './item-health.ts';
import { type ItemDisk, type ProtectedItem } from './protected-item.ts';

/** What progress is computed from. */
interface ProgressFacts {
  item: ProtectedItem;
  progress: KeptProgress | undefined;
  anchor: Anchor | undefined;
  nowMs: number;
}

/** Progress of the whole item. */
export interface ItemProgressView {
  /** Site Recovery's words for what goes on. */
  stage: 'InitialReplication' | 'Resync' | 'DifferentialSync';
  /** Of an initial replication or resync that runs; 0 otherwise. */
  percent: number;
  bytesPerSecond: number;
  /** Uploaded bytes per byte of the disks, 0 to 1. */
  compression: number;
  uploadedBytes: number;
  health: 'InProgress' | 'NoProgress' | 'Completed' | 'Queued';
}

export function progressView({ item, progress }: ProgressFacts): ItemProgressView {
  const told = progress?.progress;
  const isCopy = item.state !== 'Protected' || told?.phase === 'Resync';
  if (told === undefined) {
    return {
      ...still,
      stage: isCopy ? 'InitialReplication' : 'DifferentialSync',
      health: isCopy ? 'Queued' : 'Completed',
    };
  }
  const processed = sum(told.disks.map(({ processedBytes }) => processedBytes));
  const total = sum(told.disks.map(({ totalBytes }) => totalBytes));
  const runs = told.phase !== 'Waiting';
  return {
    stage: stageOf(isCopy, told.phase),
    percent: isCopy && runs ? percentOf(processed, total) : 0,
    bytesPerSecond: runs ? told.bytesPerSecond : 0,
    compression: processed === 0 ? 1 : Math.min(1, told.uploadedBytes / processed),
    uploadedBytes: told.uploadedBytes,
    health: healthOf(told.fault !== undefined, runs),
  };
}

const still = { percent: 0, bytesPerSecond: 0, compression: 1, uploadedBytes: 0 };

/** protectedDisks: each disk with its part of the progress. */
export function diskAnswers(facts: ProgressFacts, view: ItemProgressView) {
  const { item, anchor, nowMs } = facts;
  const newestAtMs = anchor?.newest?.timeMs;
  return item.disks.map((disk) => ({
    diskId: disk.diskId,
    diskName: disk.label,
    protectionStage: view.stage,
    healthErrorCode: '',
    rpoInSeconds: secondsSince(newestAtMs, nowMs),
    diskCapacityInBytes: sizeNow(disk, facts.progress),
    fileSystemCapacityInBytes: sizeNow(disk, facts.progress),
    diskResized: sizeNow(disk, facts.progress) === disk.sizeBytes ? 'NotResized' : 'Resized',
    lastRpoCalculatedTime: isoTime(newestAtMs === undefined ? undefined : nowMs),
    ...copyAnswer(disk, facts, view),
  }));
}

function copyAnswer(disk: ItemDisk, { progress, nowMs }: ProgressFacts, view: ItemProgressView) {
  const { processed, total } = toldOf(disk, progress);
  const startedAtMs = progress?.progress.startedAtMs;
  const transferred = {
    resyncProcessedBytes: processed,
    resyncTotalTransferredBytes: Math.round(processed * view.compression),
    resyncLast15MinutesTransferredBytes: Math.round(view.bytesPerSecond * view.compression * 900),
    resyncLastDataTransferTimeUTC: isoTime(progress?.sentAtMs),
    resyncStartTime: isoTime(startedAtMs),
    resyncRequired: isResyncRequired(progress) ? 'Required' : 'NotRequired',
    psDataInMegaBytes: 0,
    targetDataInMegaBytes: 0,
    progressStatus: view.health,
  };
  if (view.stage === 'DifferentialSync') {
    const sourceDataInMegaBytes = Math.max(0, total - processed) / MiB;
    const idle = { resyncProgressPercentage: 0, resyncDurationInSeconds: 0, progressHealth: 'None' };
    return { ...transferred, ...idle, sourceDataInMegaBytes };
  }
  return {
    ...transferred,
    resyncProgressPercentage: percentOf(processed, total),
    resyncDurationInSeconds: secondsSince(startedAtMs, nowMs) ?? 0,
    progressHealth: 'Normal',
    sourceDataInMegaBytes: 0,
  };
}

function isResyncRequired(kept: KeptProgress | undefined): boolean {
  return kept !== undefined && (isResyncing(kept.progress) || kept.progress.damage !== undefined);
}

/** A disk grows while it is replicated; its row has the size it began with. */
export function sizeNow(disk: ItemDisk, progress: KeptProgress | undefined): number {
  return Math.max(disk.sizeBytes, toldOf(disk, progress).total);
}

function toldOf(disk: ItemDisk, progress: KeptProgress | undefined): { processed: number; total: number } {
  const own = progress?.progress.disks.find(({ diskId }) => diskId === disk.diskId);
  return { processed: own?.processedBytes ?? 0, total: own?.totalBytes ?? disk.sizeBytes };
}

function stageOf(isCopy: boolean, phase: string): ItemProgressView['stage'] {
  if (phase === 'Resync') return 'Resync';
  return isCopy ? 'InitialReplication' : 'DifferentialSync';
}

function healthOf(isFaulty: boolean, runs: boolean): ItemProgressView['health'] {
  if (isFaulty) return 'NoProgress';
  return runs ? 'InProgress' : 'Completed';
}

function percentOf(processed: number, total: number): number {
  return total === 0 ? 100 : Math.min(100, Math.floor((100 * processed) / total));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
