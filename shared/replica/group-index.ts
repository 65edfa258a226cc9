import { GiB } from '../bytes.ts';
import { inOrder } from './concurrently.ts';
import { ExtentMap } from './extent-map.ts';
import type { SectorRange } from './extent-map.ts';
import { SECTOR_BYTES } from './layout.ts';
import { Layers } from './overlay.ts';
import type { Overlay, OverlaySegment } from './overlay.ts';
import type { ReplicaLog } from './replica-store.ts';
import type { IndexEntry } from './segment-format.ts';
import { openSegment } from './segment-reader.ts';
import type { OpenSegment, SegmentReference } from './segment-reader.ts';

const SEGMENTS_AT_ONCE = 8;
/** Maps are made for so much of a disk at once: with extents of 4 KiB throughout that is 512 MB, as a rule a few. */
const WINDOW_SECTORS = (64 * GiB) / SECTOR_BYTES;
/** Frames whose index entries are kept between the passes; beyond them indexes are read again. */
const MAX_KEPT_ENTRIES = 200_000;

/** A part of a disk of which one map is made. */
export interface Window {
  disk: number;
  range: SectorRange;
}

/** How much one segment holds. */
interface SegmentExtent {
  frameKey: Buffer;
  /** Sectors in frames with bytes; overlaps counted twice. */
  dataSectors: number;
  hasZeros: boolean;
  windows: ReadonlySet<string>;
  entries: readonly IndexEntry[] | undefined;
}

/** The segments between two points, laid over each other: which of them still show. */
export class GroupIndex {
  readonly references: readonly SegmentReference[];
  readonly #log: ReplicaLog;
  readonly #segments: SegmentExtent[] = [];
  readonly #point: number;

  private constructor(log: ReplicaLog, references: readonly SegmentReference[], point: number) {
    this.#log = log;
    this.references = references;
    this.#point = point;
  }

  /**
   * Reads and proves the indexes of segments, oldest first, that point `point` ends.
   *
   * @throws ReplicaError naming the first that is wrong.
   */
  static async read(
    log: ReplicaLog,
    references: readonly SegmentReference[],
    point: number,
  ): Promise<GroupIndex> {
    const group = new GroupIndex(log, references, point);
    let kept = 0;
    for await (const segment of inOrder(references, SEGMENTS_AT_ONCE, (one) => openSegment(log, one))) {
      kept += segment.entries.length;
      group.#segments.push(extentOf(segment, kept <= MAX_KEPT_ENTRIES));
    }
    return group;
  }

  /** Data of a segment, in sectors; frames of zeros have none. */
  dataSectors(at: number): number {
    return this.#segments[at]?.dataSectors ?? 0;
  }

  hasZeros(at: number): boolean {
    return this.#segments[at]?.hasZeros ?? false;
  }

  /** Every part of a disk that a segment writes to. */
  windows(): Window[] {
    const keys = new Set(this.#segments.flatMap(({ windows }) => [...windows]));
    return [...keys]
      .map(windowOf)
      .toSorted((a, b) => a.disk - b.disk || a.range.startSector - b.range.startSector);
  }

  /** What shows in a window. A run's `segment` is the position in `references`. */
  async overlay({ disk, range }: Window): Promise<Overlay> {
    const key = keyOf(disk, range.startSector);
    const touching = this.#segments.flatMap((segment, at) =>
      segment.windows.has(key) ? [{ segment, at }] : [],
    );
    const layers = new Layers();
    const read = inOrder(touching, SEGMENTS_AT_ONCE, async ({ segment, at }) => ({
      at,
      entries: segment.entries ?? (await this.#entriesOf(at)),
    }));
    for await (const { at, entries } of read) {
      layers.add(
        ExtentMap.ofSegment(
          entries.filter((entry) => entry.disk === disk),
          at,
          range,
        ),
      );
    }
    return { map: layers.flatten(), segments: this.#overlaySegments() };
  }

  async #entriesOf(at: number): Promise<readonly IndexEntry[]> {
    const reference = this.references[at];
    if (reference === undefined) throw new RangeError(`the group has no segment ${at}`);
    return (await openSegment(this.#log, reference)).entries;
  }

  #overlaySegments(): OverlaySegment[] {
    return this.references.map((reference, at) => ({
      reference,
      frameKey: this.#segments[at]?.frameKey ?? Buffer.alloc(0),
      point: this.#point,
    }));
  }
}

function extentOf({ frameKey, entries }: OpenSegment, isKept: boolean): SegmentExtent {
  const windows = new Set<string>();
  let dataSectors = 0;
  let hasZeros = false;
  for (const { disk, firstSector, sectorCount, payloadLength } of entries) {
    if (payloadLength === 0) hasZeros = true;
    else dataSectors += sectorCount;
    const end = firstSector + sectorCount;
    for (let at = firstSector - (firstSector % WINDOW_SECTORS); at < end; at += WINDOW_SECTORS) {
      windows.add(keyOf(disk, at));
    }
  }
  return { frameKey, dataSectors, hasZeros, windows, entries: isKept ? entries : undefined };
}

function keyOf(disk: number, startSector: number): string {
  return `${disk}/${startSector}`;
}

function windowOf(key: string): Window {
  const [disk = 0, startSector = 0] = key.split('/').map(Number);
  return { disk, range: { startSector, endSector: startSector + WINDOW_SECTORS } };
}
