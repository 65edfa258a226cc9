import { randomUUID } from 'node:crypto';
import { closeSync, fdatasync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { syncFolder } from '../../shared/sync-folder.ts';
import type { SealedSegment } from '../../shared/replica/segment-writer.ts';
import type { Consistency, CycleCommit } from '../../shared/wire/agent.ts';
import type { DiskRef, PointSchedule } from '../../shared/wire/command.ts';

const datasync = promisify(fdatasync);

/** A protected item as it is kept: its data key only encrypted. */
export interface StoredItem {
  protectedItemId: string;
  biosUuid: string;
  machineName: string;
  disks: DiskRef[];
  sealedDataKey: Uint8Array;
  schedule: PointSchedule;
  /** Grows with every point that is asked for outside the schedule. */
  pointRequest: number;
}

/** The cycle that is open; its segments are referenced by nothing until it is committed. */
export interface OpenCycle {
  cycleId: string;
  basePoint: number;
  startedAtMs: number;
}

/** A committed cycle: a point that is, or will be, in the replica log. */
export interface StoredPoint {
  sequence: number;
  cycleId: string;
  capturedAtMs: number;
  consistency: Consistency;
  changedBytes: number;
  pointRequest: number;
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

/**
 * What a process server must not forget, in SQLite. A write survives the process at once, and a power cut after the
 * next `durable`, which keeps the thread free while the disk works. Writes survive in the order in which they were made.
 */
export class SpoolStore {
  readonly database: DatabaseSync;
  readonly #journal: number;
  readonly #writes = new Map<string, StatementSync>();
  #isDirty = true;
  #failure: Error | undefined;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;

  constructor(path: string) {
    closeSync(openSync(path, 'a', 0o600)); // its companions get the same mode
    this.database = new DatabaseSync(path);
    this.database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
      CREATE TABLE IF NOT EXISTS item (
        protectedItemId TEXT PRIMARY KEY, biosUuid TEXT NOT NULL, machineName TEXT NOT NULL, disks TEXT NOT NULL,
        sealedDataKey BLOB NOT NULL, schedule TEXT NOT NULL, pointRequest INTEGER NOT NULL DEFAULT 0,
        lastSegment INTEGER NOT NULL DEFAULT 0);
      CREATE TABLE IF NOT EXISTS cycle (
        protectedItemId TEXT PRIMARY KEY REFERENCES item ON DELETE CASCADE,
        cycleId TEXT NOT NULL, basePoint INTEGER NOT NULL, startedAtMs INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS segment (
        protectedItemId TEXT NOT NULL REFERENCES item ON DELETE CASCADE, sequence INTEGER NOT NULL,
        cycleId TEXT NOT NULL, segment TEXT, sizeBytes INTEGER NOT NULL DEFAULT 0,
        tried INTEGER NOT NULL DEFAULT 0, uploaded INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (protectedItemId, sequence));
      CREATE TABLE IF NOT EXISTS point (
        protectedItemId TEXT NOT NULL REFERENCES item ON DELETE CASCADE, sequence INTEGER NOT NULL,
        cycleId TEXT NOT NULL, capturedAtMs INTEGER NOT NULL, consistency TEXT NOT NULL, changedBytes INTEGER NOT NULL,
        pointRequest INTEGER NOT NULL, hash TEXT, tried INTEGER NOT NULL DEFAULT 0,
        uploadedBytes INTEGER NOT NULL DEFAULT 0, confirmed INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (protectedItemId, sequence));`);
    this.#journal = openSync(`${path}-wal`, 'r');
    syncFolder(dirname(path));
  }

  /** Resolves when all that was written before the call survives a power cut. Calls at the same time share one sync. */
  durable(): Promise<void> {
    // After a failed sync the kernel may have dropped the pages: nothing later can be promised either.
    if (this.#failure) return Promise.reject(this.#failure);
    if (!this.#isDirty) return this.#syncing ?? Promise.resolve();
    if (!this.#syncing) return this.#sync();
    // The one that runs may have begun before the caller's write.
    this.#nextSync ??= this.#syncing
      .catch(() => {}) // its own callers hear of it
      .then(() => {
        this.#nextSync = undefined;
        return this.#sync();
      });
    return this.#nextSync;
  }

  /** A statement that changes something; no other may be used for that. */
  write(sql: string): StatementSync {
    this.#isDirty = true;
    const statement = this.#writes.get(sql) ?? this.database.prepare(sql);
    this.#writes.set(sql, statement);
    return statement;
  }

  #sync(): Promise<void> {
    this.#isDirty = false;
    this.#syncing = datasync(this.#journal)
      .catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
        throw this.#failure;
      })
      .finally(() => {
        this.#syncing = undefined;
      });
    return this.#syncing;
  }

  items(): StoredItem[] {
    return this.database.prepare('SELECT * FROM item').all().map(toItem);
  }

  findItem(protectedItemId: string): StoredItem | undefined {
    const row = this.database.prepare('SELECT * FROM item WHERE protectedItemId = ?').get(protectedItemId);
    return row && toItem(row);
  }

  /** Adds the item, or brings it up to date; what was replicated of it stays. */
  putItem(item: Omit<StoredItem, 'pointRequest'>): void {
    this.write(
      `INSERT INTO item (protectedItemId, biosUuid, machineName, disks, sealedDataKey, schedule)
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET biosUuid = excluded.biosUuid,
         machineName = excluded.machineName, disks = excluded.disks, sealedDataKey = excluded.sealedDataKey,
         schedule = excluded.schedule`,
    ).run(
      item.protectedItemId,
      item.biosUuid,
      item.machineName,
      JSON.stringify(item.disks),
      item.sealedDataKey,
      JSON.stringify(item.schedule),
    );
  }

  removeItem(protectedItemId: string): void {
    this.write('DELETE FROM item WHERE protectedItemId = ?').run(protectedItemId);
  }

  requestPoint(protectedItemId: string): number {
    const row = this.write(
      'UPDATE item SET pointRequest = pointRequest + 1 WHERE protectedItemId = ? RETURNING pointRequest',
    ).get(protectedItemId);
    return Number(row?.['pointRequest'] ?? 0);
  }

  findCycle(protectedItemId: string): OpenCycle | undefined {
    const row = this.database.prepare('SELECT * FROM cycle WHERE protectedItemId = ?').get(protectedItemId);
    if (!row) return undefined;
    const { cycleId, basePoint, startedAtMs } = row;
    return { cycleId: String(cycleId), basePoint: Number(basePoint), startedAtMs: Number(startedAtMs) };
  }

  /** Opens a cycle. What an earlier one that was never committed had left is no longer anybody's. */
  beginCycle(protectedItemId: string, cycle: OpenCycle): void {
    this.write('INSERT OR REPLACE INTO cycle VALUES (?, ?, ?, ?)').run(
      protectedItemId,
      cycle.cycleId,
      cycle.basePoint,
      cycle.startedAtMs,
    );
  }

  /** Takes the next sequence for a segment; it is never given twice. */
  reserveSegment(protectedItemId: string, cycleId: string): number {
    return this.#transaction(() => {
      const row = this.write(
        'UPDATE item SET lastSegment = lastSegment + 1 WHERE protectedItemId = ? RETURNING lastSegment',
      ).get(protectedItemId);
      const sequence = Number(row?.['lastSegment']);
      this.write('INSERT INTO segment (protectedItemId, sequence, cycleId) VALUES (?, ?, ?)').run(
        protectedItemId,
        sequence,
        cycleId,
      );
      return sequence;
    });
  }

  sealSegment(protectedItemId: string, segment: SealedSegment): void {
    this.write(
      'UPDATE segment SET segment = ?, sizeBytes = ? WHERE protectedItemId = ? AND sequence = ?',
    ).run(JSON.stringify(segment), segment.sizeBytes, protectedItemId, segment.sequence);
  }

  /** A segment that nothing was kept of. */
  dropSegment(protectedItemId: string, sequence: number): void {
    this.write('DELETE FROM segment WHERE protectedItemId = ? AND sequence = ?').run(
      protectedItemId,
      sequence,
    );
  }

  /** Segments whose files are in the spool. */
  spooledSegments(protectedItemId: string): number[] {
    return this.database
      .prepare('SELECT sequence FROM segment WHERE protectedItemId = ? AND uploaded = 0')
      .all(protectedItemId)
      .map((row) => Number(row['sequence']));
  }

  /** Sequences that were begun and not sealed: after a crash, those to be recovered. */
  unsealedSegments(protectedItemId: string): number[] {
    return this.database
      .prepare('SELECT sequence FROM segment WHERE protectedItemId = ? AND segment IS NULL ORDER BY sequence')
      .all(protectedItemId)
      .map((row) => Number(row['sequence']));
  }

  /** An item's segments that are sealed and not yet uploaded, oldest first. */
  pendingSegments(protectedItemId: string, limit: number): StoredSegment[] {
    return this.database
      .prepare(
        `SELECT * FROM segment WHERE protectedItemId = ? AND segment IS NOT NULL AND uploaded = 0
         ORDER BY sequence LIMIT ?`,
      )
      .all(protectedItemId, limit)
      .map(toSegment);
  }

  countSegments(protectedItemId: string, cycleId: string): number {
    const row = this.database
      .prepare('SELECT count(*) AS segments FROM segment WHERE protectedItemId = ? AND cycleId = ?')
      .get(protectedItemId, cycleId);
    return Number(row?.['segments'] ?? 0);
  }

  /** Every segment of a cycle, sealed or not. */
  sequencesOf(protectedItemId: string, cycleId: string): number[] {
    return this.database
      .prepare('SELECT sequence FROM segment WHERE protectedItemId = ? AND cycleId = ? ORDER BY sequence')
      .all(protectedItemId, cycleId)
      .map((row) => Number(row['sequence']));
  }

  segmentsOf(protectedItemId: string, cycleId: string): StoredSegment[] {
    return this.database
      .prepare(
        'SELECT * FROM segment WHERE protectedItemId = ? AND cycleId = ? AND segment IS NOT NULL ORDER BY sequence',
      )
      .all(protectedItemId, cycleId)
      .map(toSegment);
  }

  markTried(protectedItemId: string, sequence: number): void {
    this.write('UPDATE segment SET tried = 1 WHERE protectedItemId = ? AND sequence = ?').run(
      protectedItemId,
      sequence,
    );
  }

  markUploaded(protectedItemId: string, sequence: number): void {
    this.write('UPDATE segment SET uploaded = 1 WHERE protectedItemId = ? AND sequence = ?').run(
      protectedItemId,
      sequence,
    );
  }

  pendingUploadBytes(): number {
    const row = this.database.prepare('SELECT sum(sizeBytes) AS bytes FROM segment WHERE uploaded = 0').get();
    return Number(row?.['bytes'] ?? 0);
  }

  uploadedBytes(protectedItemId: string, cycleId: string): number {
    const row = this.database
      .prepare(
        'SELECT sum(sizeBytes) AS bytes FROM segment WHERE protectedItemId = ? AND cycleId = ? AND uploaded = 1',
      )
      .get(protectedItemId, cycleId);
    return Number(row?.['bytes'] ?? 0);
  }

  /** Turns the open cycle into the next point. */
  commitCycle(protectedItemId: string, cycleId: string, commit: CycleCommit): number {
    return this.#transaction(() => {
      const sequence = this.#addPoint(protectedItemId, cycleId, commit);
      this.write('DELETE FROM cycle WHERE protectedItemId = ?').run(protectedItemId);
      return sequence;
    });
  }

  /** Makes a point, of no one moment, of what the open cycle has so far; the cycle goes on behind it. */
  splitCycle(protectedItemId: string, cycleId: string): number {
    return this.#transaction(() => {
      const part = randomUUID();
      this.write('UPDATE segment SET cycleId = ? WHERE protectedItemId = ? AND cycleId = ?').run(
        part,
        protectedItemId,
        cycleId,
      );
      return this.#addPoint(protectedItemId, part, {
        capturedAtMs: Date.now(),
        consistency: 'NotConsistent',
        changedBytes: 0,
        pointRequest: 0,
      });
    });
  }

  #addPoint(protectedItemId: string, cycleId: string, commit: CycleCommit): number {
    const sequence = this.lastPoint(protectedItemId) + 1;
    const { capturedAtMs, consistency, changedBytes, pointRequest } = commit;
    this.write(
      `INSERT INTO point (protectedItemId, sequence, cycleId, capturedAtMs, consistency, changedBytes, pointRequest)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
    ).run(protectedItemId, sequence, cycleId, capturedAtMs, consistency, changedBytes, pointRequest);
    return sequence;
  }

  lastPoint(protectedItemId: string): number {
    const row = this.database
      .prepare('SELECT max(sequence) AS sequence FROM point WHERE protectedItemId = ?')
      .get(protectedItemId);
    return Number(row?.['sequence'] ?? 0);
  }

  findPoint(protectedItemId: string, sequence: number): StoredPoint | undefined {
    const row = this.database
      .prepare('SELECT * FROM point WHERE protectedItemId = ? AND sequence = ?')
      .get(protectedItemId, sequence);
    return row && toPoint(row);
  }

  findPointOfCycle(protectedItemId: string, cycleId: string): StoredPoint | undefined {
    const row = this.database
      .prepare('SELECT * FROM point WHERE protectedItemId = ? AND cycleId = ?')
      .get(protectedItemId, cycleId);
    return row && toPoint(row);
  }

  /** The oldest point whose manifest is not uploaded. */
  findPendingPoint(protectedItemId: string): StoredPoint | undefined {
    const row = this.database
      .prepare('SELECT * FROM point WHERE protectedItemId = ? AND hash IS NULL ORDER BY sequence LIMIT 1')
      .get(protectedItemId);
    return row && toPoint(row);
  }

  unconfirmedPoints(protectedItemId: string): StoredPoint[] {
    return this.database
      .prepare(
        'SELECT * FROM point WHERE protectedItemId = ? AND hash IS NOT NULL AND confirmed = 0 ORDER BY sequence',
      )
      .all(protectedItemId)
      .map(toPoint);
  }

  markPointTried(protectedItemId: string, sequence: number): void {
    this.write('UPDATE point SET tried = 1 WHERE protectedItemId = ? AND sequence = ?').run(
      protectedItemId,
      sequence,
    );
  }

  markPointUploaded(
    protectedItemId: string,
    sequence: number,
    uploaded: { hash: string; bytes: number },
  ): void {
    this.write('UPDATE point SET hash = ?, uploadedBytes = ? WHERE protectedItemId = ? AND sequence = ?').run(
      uploaded.hash,
      uploaded.bytes,
      protectedItemId,
      sequence,
    );
  }

  /** Nobody asks for it again: its segments' rows go, and the points before the newest confirmed one. */
  confirmPoint(protectedItemId: string, sequence: number): void {
    this.#transaction(() => {
      const point = this.findPoint(protectedItemId, sequence);
      if (!point) return;
      this.write('UPDATE point SET confirmed = 1 WHERE protectedItemId = ? AND sequence = ?').run(
        protectedItemId,
        sequence,
      );
      this.write('DELETE FROM segment WHERE protectedItemId = ? AND cycleId = ? AND uploaded = 1').run(
        protectedItemId,
        point.cycleId,
      );
      this.write('DELETE FROM point WHERE protectedItemId = ? AND confirmed = 1 AND sequence < ?').run(
        protectedItemId,
        this.lastPoint(protectedItemId) - 1,
      );
    });
  }

  close(): void {
    closeSync(this.#journal);
    this.database.close();
  }

  #transaction<T>(work: () => T): T {
    this.database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.database.isTransaction) this.database.exec('ROLLBACK');
      throw error;
    }
  }
}

function toItem(row: Record<string, SQLOutputValue>): StoredItem {
  return {
    protectedItemId: String(row['protectedItemId']),
    biosUuid: String(row['biosUuid']),
    machineName: String(row['machineName']),
    disks: JSON.parse(String(row['disks'])) as DiskRef[], // written by putItem only, as is the schedule
    sealedDataKey: row['sealedDataKey'] as Uint8Array,
    schedule: JSON.parse(String(row['schedule'])) as PointSchedule,
    pointRequest: Number(row['pointRequest']),
  };
}

function toSegment(row: Record<string, SQLOutputValue>): StoredSegment {
  return {
    protectedItemId: String(row['protectedItemId']),
    cycleId: String(row['cycleId']),
    segment: JSON.parse(String(row['segment'])) as SealedSegment, // written by sealSegment only
    uploaded: Number(row['uploaded']) === 1,
    tried: Number(row['tried']) === 1,
  };
}

function toPoint(row: Record<string, SQLOutputValue>): StoredPoint {
  return {
    sequence: Number(row['sequence']),
    cycleId: String(row['cycleId']),
    capturedAtMs: Number(row['capturedAtMs']),
    consistency: row['consistency'] as Consistency, // written by commitCycle only
    changedBytes: Number(row['changedBytes']),
    pointRequest: Number(row['pointRequest']),
    hash: row['hash'] === null ? undefined : String(row['hash']),
    tried: Number(row['tried']) === 1,
    uploadedBytes: Number(row['uploadedBytes']),
  };
}
