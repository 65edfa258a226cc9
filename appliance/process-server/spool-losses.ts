import { GiB, MiB } from '../../shared/bytes.ts';
import { lostRangesAtMost, type DiskRange } from '../../shared/wire/agent.ts';
import type { AssignedDisk } from '../../shared/wire/command.ts';
import type { DurableDatabase } from './durable-database.ts';

/** Where an extent lies: the disk's number in the replica log. */
export interface Place {
  disk: number;
  offsetBytes: number;
  lengthBytes: number;
}

const placeBytes = 16;
const sectorBytes = 512;
const placeBytesAtMost = 1024 * GiB;

/**
 * Which extents each spooled segment has, so that a damaged one can be sent again and nothing else has to be; and what
 * was lost and not yet sent again.
 */
export class SpoolLosses {
  readonly #db: DurableDatabase;

  constructor(database: DurableDatabase) {
    this.#db = database;
  }

  /**
   * Notes extents that are about to be acknowledged as part of a segment, which has them before `endsAtBytes`.
   *
   * @returns false when there is no such segment any more: then they must not be acknowledged
   */
  note(
    segment: { protectedItemId: string; sequence: number },
    places: readonly Place[],
    endsAtBytes: number,
  ): boolean {
    const { protectedItemId, sequence } = segment;
    const { changes } = this.#db
      .write(
        `INSERT INTO note SELECT protectedItemId, sequence, ?, ? FROM segment
         WHERE protectedItemId = ? AND sequence = ?`,
      )
      .run(endsAtBytes, packed(places), protectedItemId, sequence);
    return Number(changes) === 1;
  }

  /** So much of the segment's file is durable and was acknowledged. */
  acknowledged(protectedItemId: string, sequence: number, sizeBytes: number): void {
    this.#db
      .write(
        `UPDATE segment SET acknowledgedBytes = max(acknowledgedBytes, ?)
         WHERE protectedItemId = ? AND sequence = ? AND segment IS NULL`,
      )
      .run(sizeBytes, protectedItemId, sequence);
  }

  /** How much of an unfinished segment's file was acknowledged, and how much may have been. */
  boundsOf(protectedItemId: string, sequence: number): { acknowledgedBytes: number; notedBytes: number } {
    const row = this.#db.database
      .prepare(
        `SELECT acknowledgedBytes, (SELECT max(endsAtBytes) FROM note
           WHERE note.protectedItemId = segment.protectedItemId AND note.sequence = segment.sequence) AS notedBytes
         FROM segment WHERE protectedItemId = ? AND sequence = ?`,
      )
      .get(protectedItemId, sequence);
    const acknowledgedBytes = Number(row?.['acknowledgedBytes'] ?? 0);
    return { acknowledgedBytes, notedBytes: Number(row?.['notedBytes'] ?? 0) };
  }

  /**
   * Gives up a segment whose file is not what it was: its extents are to be sent again, and no point that is not in the
   * replica log yet claims them. Asks for a point, so that it happens now.
   *
   * @param told whether it had been acknowledged; else nobody needs to hear of it
   * @returns the bytes to be sent again; 0 when the segment was given up or uploaded before
   */
  lose(
    segment: { protectedItemId: string; sequence: number },
    { told, atMs }: { told: boolean; atMs: number },
  ): number {
    const { protectedItemId, sequence } = segment;
    return this.#db.transaction(() => {
      const row = this.#db.database
        .prepare('SELECT cycleId FROM segment WHERE protectedItemId = ? AND sequence = ? AND uploaded = 0')
        .get(protectedItemId, sequence);
      if (!row) return 0;
      const lostBytes = this.#keepPlaces(protectedItemId, sequence);
      this.#db
        .write('DELETE FROM segment WHERE protectedItemId = ? AND sequence = ?')
        .run(protectedItemId, sequence);
      this.#db
        .write(
          `UPDATE point SET consistency = 'NotConsistent', pointRequest = 0 WHERE protectedItemId = ? AND hash IS NULL
           AND sequence >= (SELECT sequence FROM point WHERE protectedItemId = ? AND cycleId = ?)`,
        )
        .run(protectedItemId, protectedItemId, String(row['cycleId']));
      this.#db
        .write('UPDATE item SET pointRequest = pointRequest + 1 WHERE protectedItemId = ?')
        .run(protectedItemId);
      if (told) this.#markDamaged(protectedItemId, lostBytes, atMs);
      return lostBytes;
    });
  }

  /** What a cycle with these disks has to send again, and the newest loss among it; 0: nothing was lost. */
  listOf(protectedItemId: string, disks: readonly AssignedDisk[]): { lossId: number; ranges: DiskRange[] } {
    const rows = this.#db.database
      .prepare('SELECT lossId, places FROM loss WHERE protectedItemId = ? ORDER BY lossId')
      .all(protectedItemId);
    const places = rows.flatMap((row) => unpacked(row['places'] as Uint8Array)); // written by keepPlaces only
    const ranges = joined(places).flatMap(({ disk, ...range }) => {
      const diskIndex = disks.findIndex(({ number }) => number === disk);
      return diskIndex < 0 ? [] : [{ diskIndex, ...range }];
    });
    return { lossId: Number(rows.at(-1)?.['lossId'] ?? 0), ranges };
  }

  /** The newest loss that is not sent again yet; 0: there is none. */
  newest(protectedItemId: string): number {
    const row = this.#db.database
      .prepare('SELECT max(lossId) AS lossId FROM loss WHERE protectedItemId = ?')
      .get(protectedItemId);
    return Number(row?.['lossId'] ?? 0);
  }

  /** The open cycle's agent was told of all losses up to this one. */
  told(protectedItemId: string, lossId: number): void {
    this.#db.write('UPDATE cycle SET repairs = ? WHERE protectedItemId = ?').run(lossId, protectedItemId);
  }

  /** A point has again what was lost. */
  repaired(protectedItemId: string, { lossId, sequence }: { lossId: number; sequence: number }): void {
    this.#db.write('DELETE FROM loss WHERE protectedItemId = ? AND lossId <= ?').run(protectedItemId, lossId);
    this.#db
      .write(
        `UPDATE item SET repairedBy = ? WHERE protectedItemId = ? AND repairedBy IS NULL AND damagedAtMs IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM loss WHERE loss.protectedItemId = item.protectedItemId)`,
      )
      .run(sequence, protectedItemId);
  }

  /** A point is in the replica log: when it is the one that repaired the item, the damage is history. */
  uploaded(protectedItemId: string, sequence: number): void {
    this.#db
      .write(
        `UPDATE item SET damagedAtMs = NULL, lostBytes = 0, repairedBy = NULL
         WHERE protectedItemId = ? AND repairedBy <= ?`,
      )
      .run(protectedItemId, sequence);
  }

  #keepPlaces(protectedItemId: string, sequence: number): number {
    const notes = this.#db
      .write('DELETE FROM note WHERE protectedItemId = ? AND sequence = ? RETURNING places')
      .all(protectedItemId, sequence);
    const places = joined(notes.flatMap((note) => unpacked(note['places'] as Uint8Array))); // written by note only
    if (places.length > 0)
      this.#db
        .write('INSERT INTO loss (protectedItemId, places) VALUES (?, ?)')
        .run(protectedItemId, packed(places));
    return places.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  #markDamaged(protectedItemId: string, lostBytes: number, atMs: number): void {
    this.#db
      .write(
        `UPDATE item SET damagedAtMs = coalesce(damagedAtMs, ?), lostBytes = lostBytes + ?, repairedBy = NULL
         WHERE protectedItemId = ?`,
      )
      .run(atMs, lostBytes, protectedItemId);
  }
}

/** 16 bytes a place: first sector (6), sectors (4), disk (2), 0 (4). */
function packed(places: readonly Place[]): Buffer {
  const bytes = Buffer.alloc(places.length * placeBytes);
  for (const [at, { disk, offsetBytes, lengthBytes }] of places.entries()) {
    bytes.writeUIntLE(offsetBytes / sectorBytes, at * placeBytes, 6);
    bytes.writeUInt32LE(lengthBytes / sectorBytes, at * placeBytes + 6);
    bytes.writeUInt16LE(disk, at * placeBytes + 10);
  }
  return bytes;
}

function unpacked(places: Uint8Array): Place[] {
  const bytes = Buffer.from(places.buffer, places.byteOffset, places.byteLength);
  return Array.from({ length: bytes.length / placeBytes }, (_, at) => ({
    offsetBytes: bytes.readUIntLE(at * placeBytes, 6) * sectorBytes,
    lengthBytes: bytes.readUInt32LE(at * placeBytes + 6) * sectorBytes,
    disk: bytes.readUInt16LE(at * placeBytes + 10),
  }));
}

/** The same places without overlaps, in order, and no more of them than one answer takes: then gaps are joined too. */
function joined(places: readonly Place[]): Place[] {
  const sorted = places.toSorted((a, b) => a.disk - b.disk || a.offsetBytes - b.offsetBytes);
  for (let gapBytes = 0; ; gapBytes = Math.max(MiB, gapBytes * 4)) {
    const result: Place[] = [];
    for (const place of sorted) {
      const last = result.at(-1);
      const lastEnd = last ? last.offsetBytes + last.lengthBytes : 0;
      const isNear = last?.disk === place.disk && place.offsetBytes <= lastEnd + gapBytes;
      const end = Math.max(lastEnd, place.offsetBytes + place.lengthBytes);
      if (last && isNear && end - last.offsetBytes <= placeBytesAtMost)
        last.lengthBytes = end - last.offsetBytes;
      else result.push({ ...place });
    }
    if (result.length <= lostRangesAtMost) return result;
  }
}
