import { createHash } from 'node:crypto';
import { isWorthwhile, partsOf } from './compaction-groups.ts';
import type { GroupParts, PointGroup } from './compaction-groups.ts';
import { encodeLayer, readLayer } from './compaction-record.ts';
import type { CompactedPoint, LayerReference, PreparedDocument } from './compaction-record.ts';
import type { CompactionRequest } from './compact.ts';
import { MAX_SEGMENTS_PER_POINT } from './layout.ts';
import { MergedSegments } from './merged-segments.ts';
import { StoreError } from './replica-store.ts';
import { rewriteGroup } from './rewrite-group.ts';
import type { SegmentReference } from './segment-reader.ts';

/** What a pass over all groups gave. */
interface CompactedGroups {
  points: CompactedPoint[];
  writtenBytes: number;
  isComplete: boolean;
}

/** Brings the groups of a record into their new form: most stay as they are, some are joined, a few rewritten. */
export class GroupCompactor {
  readonly #request: CompactionRequest;
  readonly #groups: readonly { group: PointGroup; parts: GroupParts; isWorthwhile: boolean }[];
  readonly #merged: MergedSegments;
  #layer: number;
  #writtenBytes = 0;
  #isComplete = true;

  constructor(request: CompactionRequest, groups: readonly PointGroup[]) {
    this.#request = request;
    this.#groups = groups.map((group) => {
      const parts = partsOf(group);
      return { group, parts, isWorthwhile: isWorthwhile(parts) };
    });
    this.#merged = new MergedSegments(request.log, request.numbers.segment, request.pool);
    this.#layer = request.numbers.layer;
  }

  /** Whether any group is not as it was, or could do with rewriting. */
  get hasWork(): boolean {
    return this.#groups.some(({ group, isWorthwhile }) => group.sources.length > 1 || isWorthwhile);
  }

  async run(): Promise<CompactedGroups> {
    const points: CompactedPoint[] = [];
    for (const { group, parts, isWorthwhile } of this.#groups) {
      this.#request.signal?.throwIfAborted();
      const layers = isWorthwhile ? await this.#rewrite(group, parts) : await this.#join(group, parts);
      points.push({ ...group.point, layers });
    }
    return { points, writtenBytes: this.#writtenBytes, isComplete: this.#isComplete };
  }

  /** Writes a document under a name that is this step's alone, and reads it back. */
  async put({ name, bytes }: PreparedDocument): Promise<void> {
    const { store } = this.#request.log;
    const md5 = createHash('md5').update(bytes).digest('base64');
    const outcome = await store.putIfAbsent(name, bytes, { md5 });
    if (outcome === 'created') return;
    const message = `${name} is in the replica log already, and this compaction did not put it there`;
    throw new StoreError(message, { code: 'BlobAlreadyExists', isRetryable: false });
  }

  async #rewrite(group: PointGroup, parts: GroupParts): Promise<LayerReference[]> {
    const { log, budgetBytes, pool, signal } = this.#request;
    const left = budgetBytes - this.#writtenBytes;
    if (left <= 0 && this.#writtenBytes > 0) {
      this.#isComplete = false;
      return this.#join(group, parts);
    }
    const references = await this.#segmentsOf(parts);
    const rewritten = await rewriteGroup(
      {
        log,
        references,
        point: group.point.sequence,
        budgetBytes: left,
        ...(pool !== undefined && { pool }),
        ...(signal !== undefined && { signal }),
      },
      this.#merged,
    );
    this.#writtenBytes += rewritten.writtenBytes;
    if (!rewritten.isSettled) this.#isComplete = false;
    return this.#layers(rewritten.references, rewritten.isSettled);
  }

  /** Leaves all segments as they are, one group on top of the other. */
  async #join({ sources }: PointGroup, { settled, loose }: GroupParts): Promise<LayerReference[]> {
    const joined: LayerReference[] = [...settled];
    let named: SegmentReference[] = [];
    for (const part of loose) {
      if (!('number' in part)) {
        named.push(...part);
        continue;
      }
      joined.push(...(await this.#layers(named, false)), { ...part, settled: false });
      named = [];
    }
    const isAlone = sources.length === 1 && joined.length === 0 && named.length === 1;
    return [...joined, ...(await this.#layers(named, isAlone))];
  }

  async #layers(segments: readonly SegmentReference[], settled: boolean): Promise<LayerReference[]> {
    const layers: LayerReference[] = [];
    for (let at = 0; at < segments.length; at += MAX_SEGMENTS_PER_POINT) {
      const part = segments.slice(at, at + MAX_SEGMENTS_PER_POINT);
      const document = encodeLayer(this.#request.log, this.#layer, part);
      const layer = {
        number: this.#layer,
        hash: document.hash,
        segments: part.length,
        sizeBytes: part.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        settled,
      };
      this.#layer += 1;
      await this.put(document);
      await readLayer(this.#request.log, layer); // as everybody will from now on
      layers.push(layer);
    }
    return layers;
  }

  async #segmentsOf({ settled, loose }: GroupParts): Promise<SegmentReference[]> {
    const segments: SegmentReference[] = [];
    for (const part of [...settled, ...loose]) {
      segments.push(...('number' in part ? await readLayer(this.#request.log, part) : part));
    }
    return segments;
  }
}
