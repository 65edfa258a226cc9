import { checkExtents } from './chain-rules.ts';
import type { PointState, PointView } from './chain-rules.ts';
import { inOrder } from './concurrently.ts';
import { ExtentMap } from './extent-map.ts';
import type { SectorRange } from './extent-map.ts';
import { ReplicaError } from './replica-error.ts';
import type { ReplicaLog } from './replica-store.ts';
import { openSegment } from './segment-reader.ts';
import type { OpenSegment, SegmentReference } from './segment-reader.ts';

const SEGMENTS_AT_ONCE = 8;

/** What reading a frame of a segment needs. */
export interface OverlaySegment {
  reference: SegmentReference;
  frameKey: Buffer;
  /** The point that named it first. */
  point: number;
}

/** A disk at a point: where each sector's bytes are. Sectors without a run were never written: zeros. */
export interface Overlay {
  map: ExtentMap;
  segments: readonly OverlaySegment[];
}

/**
 * Lays the segments of a chain of points over each other, the newest on top, for a range of one disk.
 * Memory: 32 bytes for each run of the range and about 500 for each segment; each index is dropped once it is merged.
 *
 * @throws ReplicaError naming the first segment that is wrong.
 */
export async function readOverlay(
  log: ReplicaLog,
  records: readonly PointView[],
  place: { disk: number; range: SectorRange },
): Promise<Overlay> {
  const named = records.flatMap(({ manifest }) =>
    manifest.segments.map((reference) => ({ manifest, reference })),
  );
  const segments: OverlaySegment[] = [];
  const layers = new Layers();
  const opened = inOrder(named, SEGMENTS_AT_ONCE, ({ manifest, reference }) =>
    open(log, manifest, reference),
  );
  for await (const segment of opened) {
    const entries = segment.entries.filter((entry) => entry.disk === place.disk);
    const layer = ExtentMap.ofSegment(entries, segments.length, place.range);
    if (layer.length === 0) continue;
    segments.push({ reference: segment.reference, frameKey: segment.frameKey, point: segment.point });
    layers.add(layer);
  }
  return { map: layers.flatten(), segments };
}

/** Maps of one disk from old to new, kept so that each merge joins maps of like size: n runs cost n log n, not n². */
export class Layers {
  #stack: ExtentMap[] = [];

  add(newest: ExtentMap): void {
    let top = newest;
    for (
      let below = this.#stack.at(-1);
      below !== undefined && below.length <= 2 * top.length;
      below = this.#stack.at(-1)
    ) {
      top = ExtentMap.merge(top, below);
      this.#stack.pop();
    }
    this.#stack.push(top);
  }

  flatten(): ExtentMap {
    return this.#stack.reduceRight((newer, older) => ExtentMap.merge(newer, older), ExtentMap.empty);
  }
}

async function open(
  log: ReplicaLog,
  manifest: PointState,
  reference: SegmentReference,
): Promise<OpenSegment & { point: number }> {
  const point = manifest.sequence;
  try {
    const segment = await openSegment(log, reference);
    checkExtents(segment, manifest);
    return { ...segment, point };
  } catch (error) {
    throw error instanceof ReplicaError ? new ReplicaError({ ...error.defect, firstPoint: point }) : error;
  }
}
