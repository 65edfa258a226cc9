import type { SQLOutputValue } from 'node:sqlite';
import type { SealedSegment } from '../../shared/replica/segment-writer.ts';
import type { Consistency } from '../../shared/wire/agent.ts';
import type { AssignedDisk, PointSchedule } from '../../shared/wire/command.ts';

/** A protected item as it is kept: its data key only encrypted. */
export interface StoredItem {
  protectedItemId: string;
  biosUuid: string;
  machineName: string;
  /** Each as large as it was when a cycle began last. */
  disks: AssignedDisk[];
  sealedDataKey: Uint8Array;
  schedule: PointSchedule;
  /** Grows with every point that is asked for outside the schedule. */
  pointRequest: number;
  /** Resynchronizations: how many were asked for, how many are done, and when the last one was asked for. */
  resync: { asked: number; done: number; sinceMs: number };
  /** Acknowledged data that the cache disk lost; until a whole point is in the replica log again. */
  damage: { sinceMs: number; lostBytes: number } | undefined;
}

/** The cycle that is open; its segments are referenced by nothing until it is committed. */
export interface OpenCycle {
  cycleId: string;
  basePoint: number;
  startedAtMs: number;
  /** In the order in which the agent's extents name them, as large as they were when it began. */
  disks: AssignedDisk[];
  /** The newest request for a resynchronization that it answers. */
  resync: number;
  /** The newest loss that the agent was told of: what was lost later is not in the cycle. 0: none. */
  repairs: number;
}

/** A committed cycle: a point that is, or will be, in the replica log. */
export interface StoredPoint {
  sequence: number;
  cycleId: string;
  capturedAtMs: number;
  consistency: Consistency;
  changedBytes: number;
  pointRequest: number;
  disks: AssignedDisk[];
  /** Hash of the manifest; absent until it is uploaded. */
  hash: string | undefined;
  /** Whether an upload of the manifest was begun. */
  tried: boolean;
  /** Bytes of its segments; 0 until its manifest is uploaded. */
  uploadedBytes: number;
}

export interface StoredSegment {
  protectedItemId: string;
  cycleId: string;
  segment: SealedSegment;
  uploaded: boolean;
  /** Whether an upload was begun: the blob may be there although no answer came. */
  tried: boolean;
}

/** The tables of a process server's items. */
export const spoolSchema = `
  CREATE TABLE IF NOT EXISTS item (
    protectedItemId TEXT PRIMARY KEY, biosUuid TEXT NOT NULL, machineName TEXT NOT NULL, disks TEXT NOT NULL,
    sealedDataKey BLOB NOT NULL, schedule TEXT NOT NULL, pointRequest INTEGER NOT NULL DEFAULT 0,
    lastSegment INTEGER NOT NULL DEFAULT 0, resyncAsked INTEGER NOT NULL DEFAULT 0,
    resyncDone INTEGER NOT NULL DEFAULT 0, resyncSinceMs INTEGER NOT NULL DEFAULT 0,
    damagedAtMs INTEGER, lostBytes INTEGER NOT NULL DEFAULT 0, repairedBy INTEGER);
  CREATE TABLE IF NOT EXISTS cycle (
    protectedItemId TEXT PRIMARY KEY REFERENCES item ON DELETE CASCADE,
    cycleId TEXT NOT NULL, basePoint INTEGER NOT NULL, startedAtMs INTEGER NOT NULL, disks TEXT NOT NULL,
    resync INTEGER NOT NULL, repairs INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS segment (
    protectedItemId TEXT NOT NULL REFERENCES item ON DELETE CASCADE, sequence INTEGER NOT NULL,
    cycleId TEXT NOT NULL, segment TEXT, sizeBytes INTEGER NOT NULL DEFAULT 0,
    acknowledgedBytes INTEGER NOT NULL DEFAULT 0,
    tried INTEGER NOT NULL DEFAULT 0, uploaded INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (protectedItemId, sequence));
  CREATE TABLE IF NOT EXISTS note (
    protectedItemId TEXT NOT NULL, sequence INTEGER NOT NULL, endsAtBytes INTEGER NOT NULL, places BLOB NOT NULL,
    FOREIGN KEY (protectedItemId, sequence) REFERENCES segment ON DELETE CASCADE);
  CREATE INDEX IF NOT EXISTS noteOfSegment ON note (protectedItemId, sequence);
  CREATE TABLE IF NOT EXISTS loss (
    lossId INTEGER PRIMARY KEY AUTOINCREMENT, protectedItemId TEXT NOT NULL REFERENCES item ON DELETE CASCADE,
    places BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS point (
    protectedItemId TEXT NOT NULL REFERENCES item ON DELETE CASCADE, sequence INTEGER NOT NULL,
    cycleId TEXT NOT NULL, capturedAtMs INTEGER NOT NULL, consistency TEXT NOT NULL, changedBytes INTEGER NOT NULL,
    pointRequest INTEGER NOT NULL, disks TEXT NOT NULL, hash TEXT, tried INTEGER NOT NULL DEFAULT 0,
    uploadedBytes INTEGER NOT NULL DEFAULT 0, confirmed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (protectedItemId, sequence));`;

type Row = Record<string, SQLOutputValue>;

export function toItem(row: Row): StoredItem {
  const { damagedAtMs } = row;
  return {
    protectedItemId: String(row['protectedItemId']),
    biosUuid: String(row['biosUuid']),
    machineName: String(row['machineName']),
    disks: disksOf(row),
    sealedDataKey: row['sealedDataKey'] as Uint8Array,
    schedule: JSON.parse(String(row['schedule'])) as PointSchedule, // written by putItem only
    pointRequest: Number(row['pointRequest']),
    resync: {
      asked: Number(row['resyncAsked']),
      done: Number(row['resyncDone']),
      sinceMs: Number(row['resyncSinceMs']),
    },
    damage:
      damagedAtMs === null
        ? undefined
        : { sinceMs: Number(damagedAtMs), lostBytes: Number(row['lostBytes']) },
  };
}

export function toCycle(row: Row): OpenCycle {
  return {
    cycleId: String(row['cycleId']),
    basePoint: Number(row['basePoint']),
    startedAtMs: Number(row['startedAtMs']),
    disks: disksOf(row),
    resync: Number(row['resync']),
    repairs: Number(row['repairs']),
  };
}

export function toSegment(row: Row): StoredSegment {
  return {
    protectedItemId: String(row['protectedItemId']),
    cycleId: String(row['cycleId']),
    segment: JSON.parse(String(row['segment'])) as SealedSegment, // written by sealSegment only
    uploaded: Number(row['uploaded']) === 1,
    tried: Number(row['tried']) === 1,
  };
}

export function toPoint(row: Row): StoredPoint {
  return {
    sequence: Number(row['sequence']),
    cycleId: String(row['cycleId']),
    capturedAtMs: Number(row['capturedAtMs']),
    consistency: row['consistency'] as Consistency, // written by commitCycle only
    changedBytes: Number(row['changedBytes']),
    pointRequest: Number(row['pointRequest']),
    disks: disksOf(row),
    hash: row['hash'] === null ? undefined : String(row['hash']),
    tried: Number(row['tried']) === 1,
    uploadedBytes: Number(row['uploadedBytes']),
  };
}

function disksOf(row: Row): AssignedDisk[] {
  return JSON.parse(String(row['disks'])) as AssignedDisk[]; // written by this store only
}
