import { SECTOR_BYTES, pointName } from './layout.ts';
import { genesisHead } from './point.ts';
import type { ChainHead, PointDisk, PointManifest } from './point.ts';
import { refuse } from './replica-error.ts';
import type { Defect } from './replica-error.ts';
import type { OpenSegment } from './segment-reader.ts';

/** A manifest that was read and proven. */
export interface PointRecord {
  manifest: PointManifest;
  hash: string;
}

/**
 * Goes from the newest to the oldest point and names each that its successor, or the anchor, does not name. Gaps are
 * the caller's to report; the point below one is taken by its own MAC. What is above the anchor must lead down to it.
 */
export function findBrokenLinks(
  records: readonly PointRecord[],
  itemId: string,
  anchor?: ChainHead,
): Defect[] {
  const defects: Defect[] = [];
  let above: PointManifest | undefined;
  for (const record of records.toReversed()) {
    const { manifest } = record;
    const successor = above?.sequence === manifest.sequence + 1 ? above : undefined;
    const isAnchor = manifest.sequence === anchor?.sequence;
    const defect = isAnchor ? findUnanchored(record, anchor) : findUnnamed(record, successor);
    if (defect !== undefined) defects.push(defect);
    if (isAnchor && successor !== undefined && successor.previous !== anchor.hash) {
      defects.push(defectOf(successor, 'Replaced', 'it does not follow the anchored head'));
    }
    above = defect === undefined ? manifest : undefined; // what a wrong manifest names proves nothing
  }
  const first = records[0]?.manifest;
  if (first?.sequence === 1 && first.previous !== genesisHead(itemId).hash) {
    defects.push(defectOf(first, 'Malformed', 'the first point does not begin at the genesis hash'));
  }
  return defects;
}

/** Names the points that break a rule which spans points: segments ascend, disks keep their numbers and never shrink. */
export function findBrokenRules(records: readonly PointRecord[]): Defect[] {
  const defects: Defect[] = [];
  const disks = new KnownDisks();
  let lastSegment = 0;
  for (const { manifest } of records) {
    const first = manifest.segments[0];
    if (first !== undefined && first.sequence <= lastSegment) {
      const detail = `it names ${first.name}, which is not newer than those of the points before`;
      defects.push(defectOf(manifest, 'Malformed', detail));
    }
    lastSegment = manifest.segments.at(-1)?.sequence ?? lastSegment;
    for (const disk of manifest.disks.filter((disk) => !disks.admit(disk))) {
      defects.push(
        defectOf(manifest, 'Malformed', `disk ${disk.number} was another disk, or larger, before`),
      );
    }
  }
  return defects;
}

/**
 * Checks that every extent of a segment lies within a disk of its point.
 *
 * @throws ReplicaError
 */
export function checkExtents(segment: OpenSegment, disks: readonly PointDisk[]): void {
  const sectors = new Map(disks.map((disk) => [disk.number, disk.sizeBytes / SECTOR_BYTES]));
  for (const entry of segment.entries) {
    if (entry.firstSector + entry.sectorCount > (sectors.get(entry.disk) ?? 0)) {
      const where = `sector ${entry.firstSector} of disk ${entry.disk}`;
      refuse(
        'Malformed',
        segment.reference.name,
        `frame ${entry.number} at ${where} lies outside its point's disks`,
      );
    }
  }
}

/** Orders defects by the point they hurt first. */
export function byPoint(a: Defect, b: Defect): number {
  return (a.firstPoint ?? 0) - (b.firstPoint ?? 0);
}

class KnownDisks {
  readonly #byNumber = new Map<number, PointDisk>();
  readonly #numbers = new Map<string, number>();

  /** Whether the disk agrees with what was known of its number and id. */
  admit(disk: PointDisk): boolean {
    const before = this.#byNumber.get(disk.number) ?? disk;
    const number = this.#numbers.get(disk.id) ?? disk.number;
    this.#byNumber.set(disk.number, disk);
    this.#numbers.set(disk.id, disk.number);
    return before.id === disk.id && number === disk.number && before.sizeBytes <= disk.sizeBytes;
  }
}

function findUnanchored({ manifest, hash }: PointRecord, anchor: ChainHead): Defect | undefined {
  if (hash === anchor.hash) return undefined;
  return defectOf(manifest, 'Replaced', `the anchored hash is ${anchor.hash}, its own is ${hash}`);
}

function findUnnamed(
  { manifest, hash }: PointRecord,
  successor: PointManifest | undefined,
): Defect | undefined {
  if (successor === undefined || successor.previous === hash) return undefined;
  const detail = `${pointName(successor.sequence)} names the hash ${successor.previous}, its own is ${hash}`;
  return defectOf(manifest, 'Replaced', detail);
}

function defectOf(manifest: PointManifest, kind: Defect['kind'], detail: string): Defect {
  return { kind, blob: pointName(manifest.sequence), detail, firstPoint: manifest.sequence };
}
