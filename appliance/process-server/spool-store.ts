import { randomUUID } from 'node:crypto';
import type { SealedSegment } from '../../shared/replica/segment-writer.ts';
import type { CycleCommit } from '../../shared/wire/agent.ts';
import type { AssignedDisk } from '../../shared/wire/command.ts';
import { DurableDatabase } from './durable-database.ts';
import { SpoolLosses } from './spool-losses.ts';
import {
  spoolSchema,
  toCycle,
  toItem,
  toPoint,
  toSegment,
  type OpenCycle,
  type StoredItem,
  type StoredPoint,
  type StoredSegment,
} from './spool-rows.ts';

/** What a process server must not forget. */
export class SpoolStore extends DurableDatabase {
  readonly losses: SpoolLosses;

  constructor(path: string) {
    super(path, spoolSchema);
    this.losses = new SpoolLosses(this);
  }

  items(): StoredItem[] {
    return this.database.prepare('SELECT * FROM item').all().map(toItem);
  }

  findItem(protectedItemId: string): StoredItem | undefined {
    const row = this.database.prepare('SELECT * FROM item WHERE protectedItemId = ?').get(protectedItemId);
    return row && toItem(row);
  }

  /** Adds the item, or brings it up to date; what was replicated of it stays. */
  putItem(item: Omit<StoredItem, 'pointRequest' | 'resync' | 'damage'>): void {
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

  /** The disks have other sizes by now. */
  putDisks(protectedItemId: string, disks: readonly AssignedDisk[]): void {
    this.write('UPDATE item SET disks = ? WHERE protectedItemId = ?').run(
      JSON.stringify(disks),
      protectedItemId,
    );
  }

  /** Counts one more request for a resynchronization. */
  requestResync(protectedItemId: string, atMs: number): number {
    const row = this.write(
      `UPDATE item SET resyncAsked = resyncAsked + 1, resyncSinceMs = ? WHERE protectedItemId = ?
       RETURNING resyncAsked`,
    ).get(atMs, protectedItemId);
    return Number(row?.['resyncAsked'] ?? 0);
  }

  findCycle(protectedItemId: string): OpenCycle | undefined {
    const row = this.database.prepare('SELECT * FROM cycle WHERE protectedItemId = ?').get(protectedItemId);
    return row && toCycle(row);
  }

  /** Opens a cycle. What an earlier one that was never committed had left is no longer anybody's. */
  beginCycle(protectedItemId: string, cycle: OpenCycle): void {
    this.write('INSERT OR REPLACE INTO cycle VALUES (?, ?, ?, ?, ?, ?, ?)').run(
      protectedItemId,
      cycle.cycleId,
      cycle.basePoint,
      cycle.startedAtMs,
      JSON.stringify(cycle.disks),
      cycle.resync,
      cycle.repairs,
    );
  }

  /** Takes the next sequence for a segment; it is never given twice. */
  reserveSegment(protectedItemId: string, cycleId: string): number {
    return this.transaction(() => {
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
  pendingSegments(protectedItemId: string, limit = -1): StoredSegment[] {
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

  /** What was in it is safe: nobody asks for its notes any more. */
  markUploaded(protectedItemId: string, sequence: number): void {
    this.transaction(() => {
      this.write('UPDATE segment SET uploaded = 1 WHERE protectedItemId = ? AND sequence = ?').run(
        protectedItemId,
        sequence,
      );
      this.write('DELETE FROM note WHERE protectedItemId = ? AND sequence = ?').run(
        protectedItemId,
        sequence,
      );
    });
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

  /** Turns the open cycle into the next point, and notes what it has repaired. */
  commitCycle(protectedItemId: string, cycle: OpenCycle, commit: CycleCommit): number {
    return this.transaction(() => {
      const { cycleId, disks } = cycle;
      const sequence = this.#addPoint(protectedItemId, { cycleId, disks }, commit);
      this.write('DELETE FROM cycle WHERE protectedItemId = ?').run(protectedItemId);
      this.write('UPDATE item SET resyncDone = max(resyncDone, ?) WHERE protectedItemId = ?').run(
        cycle.resync,
        protectedItemId,
      );
      this.losses.repaired(protectedItemId, { lossId: cycle.repairs, sequence });
      return sequence;
    });
  }

  /** Makes a point, of no one moment, of what the open cycle has so far; the cycle goes on behind it. */
  splitCycle(protectedItemId: string, { cycleId, disks }: OpenCycle): number {
    return this.transaction(() => {
      const part = randomUUID();
      this.write('UPDATE segment SET cycleId = ? WHERE protectedItemId = ? AND cycleId = ?').run(
        part,
        protectedItemId,
        cycleId,
      );
      const commit = {
        capturedAtMs: Date.now(),
        consistency: 'NotConsistent',
        changedBytes: 0,
        pointRequest: 0,
      } as const;
      return this.#addPoint(protectedItemId, { cycleId: part, disks }, commit);
    });
  }

  #addPoint(
    protectedItemId: string,
    { cycleId, disks }: Pick<OpenCycle, 'cycleId' | 'disks'>,
    commit: CycleCommit,
  ): number {
    const sequence = this.lastPoint(protectedItemId) + 1;
    const { capturedAtMs, consistency, changedBytes, pointRequest } = commit;
    this.write(
      `INSERT INTO point
         (protectedItemId, sequence, cycleId, capturedAtMs, consistency, changedBytes, pointRequest, disks)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    ).run(
      protectedItemId,
      sequence,
      cycleId,
      capturedAtMs,
      consistency,
      changedBytes,
      pointRequest,
      JSON.stringify(disks),
    );
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
    this.transaction(() => {
      this.write(
        'UPDATE point SET hash = ?, uploadedBytes = ? WHERE protectedItemId = ? AND sequence = ?',
      ).run(uploaded.hash, uploaded.bytes, protectedItemId, sequence);
      this.losses.uploaded(protectedItemId, sequence);
    });
  }

  /** Nobody asks for it again: its segments' rows go, and the points before the newest confirmed one. */
  confirmPoint(protectedItemId: string, sequence: number): void {
    this.transaction(() => {
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
}
