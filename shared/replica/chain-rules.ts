import { SECTOR_BYTES, pointName } from './layout.ts';
import type { ChainHead, PointDisk, PointManifest } from './point.ts';
import { refuse } from './replica-error.ts';
import type { Defect } from './replica-error.ts';
import type { OpenSegment, SegmentReference } from './segment-reader.ts';

/** What a point says of its disks, be it in its own manifest or in a compaction's record. */
export interface PointState extends Pick<PointManifest, 'sequence' | 'consistency' | 'time' | 'disks'> {
  /** Written since the point before it in the list that it is in, oldest first. */
  segments: readonly SegmentReference[];
  /** From a compaction's record: its segments may hold extents of disks that were removed since. */
  isCompacted?: true;
}

/** A point that can be restored, read and proven; the hash is that of its manifest in the chain. */
export interface PointView {
  manifest: PointState;
  hash: string;
}

/** A manifest that was read and proven. */
export interface PointRecord {
  manifest: PointManifest;
  hash: string;
}

/** Where a chain of manifests begins: at its genesis, or where a compaction's record ends. */
export interface ChainStart {
  head: ChainHead;
  /** The highest segment that was named before. */
  lastSegment: number;
  /** The points that the record keeps. */
  points: readonly PointView[];
}

/**
 * Goes from the newest to the oldest point and names each that its successor, or the anchor, does not name. Gaps are
 * the caller's to report; the point below one is taken by its own MAC. What is above the anchor must lead down to it.
 */
export function findBrokenLinks(
  records: readonly PointRecord[],
  start: ChainHead,
  anchor?: ChainHead,
): Defect[] {
  const defects: Defect[] = [];
  let above: PointManifest | undefined;
  for (const { manifest, hash } of records.toReversed()) {
    const named = anchor?.sequence === manifest.sequence ? anchor.hash : namedBy(above, manifest.sequence);
    const isNamed = named === undefined || named === hash;
    if (!isNamed)
      defects.push(defectOf(manifest, 'Replaced', `the chain names the hash ${named}, its own is ${hash}`));
    above = isNamed ? manifest : undefined; // what a wrong manifest names proves nothing
  }
  defects.push(...findWrongStarts(records, start));
  if (anchor !== undefined && anchor.sequence > start.sequence) {
    defects.push(...findWrongStarts(records, anchor));
  }
  return defects;
}

/** Names the points that break a rule which spans points: segments ascend, disks keep their numbers and never shrink. */
export function findBrokenRules(
  records: readonly PointRecord[],
  start: Pick<ChainStart, 'lastSegment' | 'points'> = { lastSegment: 0, points: [] },
): Defect[] {
  const defects: Defect[] = [];
  const disks = new KnownDisks(start.points);
  let { lastSegment } = start;
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
export function checkExtents(
  segment: OpenSegment,
  { disks, isCompacted }: Pick<PointState, 'disks' | 'isCompacted'>,
): void {
  const sectors = new Map(disks.map((disk) => [disk.number, disk.sizeBytes / SECTOR_BYTES]));
  const ofOthers = isCompacted === true ? Number.POSITIVE_INFINITY : 0;
  for (const entry of segment.entries) {
    if (entry.firstSector + entry.sectorCount > (sectors.get(entry.disk) ?? ofOthers)) {
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

  constructor(points: readonly PointView[]) {
    for (const { manifest } of points) for (const disk of manifest.disks) this.admit(disk);
  }

  /** Whether the disk agrees with what was known of its number and id. */
  admit(disk: PointDisk): boolean {
    const before = this.#byNumber.get(disk.number) ?? disk;
    const number = this.#numbers.get(disk.id) ?? disk.number;
    this.#byNumber.set(disk.number, disk);
    this.#numbers.set(disk.id, disk.number);
    return before.id === disk.id && number === disk.number && before.sizeBytes <= disk.sizeBytes;
  }
}

/** The hash that a point's successor, if that is what is above it, names. */
function namedBy(above: PointManifest | undefined, sequence: number): string | undefined {
  return above?.sequence === sequence + 1 ? above.previous : undefined;
}

/** The point behind a trusted head must name that head. */
function findWrongStarts(records: readonly PointRecord[], head: ChainHead): Defect[] {
  const next = records.find(({ manifest }) => manifest.sequence === head.sequence + 1);
  if (next === undefined || next.manifest.previous === head.hash) return [];
  const expected = head.sequence === 0 ? 'begin at the genesis hash' : 'follow the head before it';
  return [defectOf(next.manifest, 'Replaced', `it does not ${expected}`)];
}

function defectOf(manifest: PointManifest, kind: Defect['kind'], detail: string): Defect {
  return { kind, blob: pointName(manifest.sequence), detail, firstPoint: manifest.sequence };
}
