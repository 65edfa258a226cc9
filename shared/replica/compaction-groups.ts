import type { CompactedPoint, LayerReference } from './compaction-record.ts';
import type { SegmentReference } from './segment-reader.ts';

/** A point before a compaction: from the former record with its layers, or from the chain with its segments. */
export interface Entry {
  point: CompactedPoint;
  segments: readonly SegmentReference[];
}

/** A point that is kept, with everything that was written since the kept one before it, oldest first. */
export interface PointGroup {
  point: CompactedPoint;
  sources: readonly Entry[];
}

/**
 * Joins to each kept point those that are not kept before it. The last entry stays in any case: the chain goes on from
 * there.
 */
export function groupEntries(entries: readonly Entry[], isKept: (sequence: number) => boolean): PointGroup[] {
  const groups: PointGroup[] = [];
  let sources: Entry[] = [];
  for (const entry of entries) {
    sources.push(entry);
    if (!isKept(entry.point.sequence) && entry !== entries.at(-1)) continue;
    groups.push({ point: entry.point, sources });
    sources = [];
  }
  return groups;
}

/** How much later layers may bring, compared with what they lie on, before what they hide is looked for. */
const LOOSE_PART = 0.1;
const MAX_LOOSE_SEGMENTS = 64;
const MAX_LOOSE_LAYERS = 32;

/** The parts of a group: what was gone through before, and what came on top since. */
export interface GroupParts {
  settled: readonly LayerReference[];
  loose: readonly (LayerReference | readonly SegmentReference[])[];
}

export function partsOf({ sources }: PointGroup): GroupParts {
  const [first, ...others] = sources;
  const bottom = first?.point.layers ?? [];
  const loose = [
    ...bottom.filter(({ settled }) => !settled),
    ...(first === undefined || first.segments.length === 0 ? [] : [first.segments]),
    ...others.flatMap(({ point, segments }) => [
      ...point.layers,
      ...(segments.length === 0 ? [] : [segments]),
    ]),
  ];
  return { settled: bottom.filter(({ settled }) => settled), loose };
}

/**
 * Whether what the later parts hide is worth looking for. It is at most as much as they bring: so what is stored in vain
 * stays below a tenth, and the work is that of ten times what was written.
 */
export function isWorthwhile({ settled, loose }: GroupParts): boolean {
  const looseBytes = sum(loose.map(bytesOf));
  const looseSegments = sum(loose.map(countOf));
  const settledSegments = sum(settled.map(({ segments }) => segments));
  if (looseSegments === 0 || looseSegments + settledSegments < 2) return false;
  const settledBytes = sum(settled.map(({ sizeBytes }) => sizeBytes));
  return (
    looseBytes >= LOOSE_PART * settledBytes ||
    looseSegments > MAX_LOOSE_SEGMENTS ||
    loose.length > MAX_LOOSE_LAYERS
  );
}

function bytesOf(part: GroupParts['loose'][number]): number {
  return 'number' in part ? part.sizeBytes : sum(part.map(({ sizeBytes }) => sizeBytes));
}

function countOf(part: GroupParts['loose'][number]): number {
  return 'number' in part ? part.segments : part.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
