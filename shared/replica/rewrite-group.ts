/** Drops from the segments between two points what newer ones of them hide, by rewriting what still shows. */
import { MiB } from '../bytes.ts';
import { copyRuns } from './copy-runs.ts';
import type { ExtentMap, Run } from './extent-map.ts';
import type { FramePool } from './frame-pool.ts';
import { GroupIndex } from './group-index.ts';
import { SECTOR_BYTES } from './layout.ts';
import type { MergedSegments } from './merged-segments.ts';
import type { Overlay } from './overlay.ts';
import type { ReplicaLog } from './replica-store.ts';
import type { SegmentReference } from './segment-reader.ts';

/** A segment of which less shows is rewritten: what is stored then stays below 1 / 0.8 of what shows. */
const LEAST_SHOWN = 0.8;
/** Segments smaller than this are joined: each costs a request to read. */
const SMALL_BYTES = 4 * MiB;

/** Segments between two points, and what rewriting them may cost. */
export interface Group {
  log: ReplicaLog;
  /** Oldest first. */
  references: readonly SegmentReference[];
  /** The point that they lead to. */
  point: number;
  /** Bytes that may be written; two segments may always be, so that each step leads on. */
  budgetBytes: number;
  pool?: FramePool;
  signal?: AbortSignal;
}

/** What has become of a group. */
export interface RewrittenGroup {
  /** Show what the former ones did, oldest first. */
  references: readonly SegmentReference[];
  /** Bytes of segments that were written. */
  writtenBytes: number;
  /** Whether nothing more is worth while: the budget was enough. */
  isSettled: boolean;
}

/**
 * Rewrites the segments of which little shows, and joins small ones. What is kept stays below what is written: only
 * what shows is written, so it may lie on top. The result is read back from the store and compared with what was there.
 *
 * @throws ReplicaError naming a segment that is wrong; then nothing has changed.
 */
export async function rewriteGroup(group: Group, to: MergedSegments): Promise<RewrittenGroup> {
  const index = await GroupIndex.read(group.log, group.references, group.point);
  const { victims, isSettled } = await pickVictims(index, group.budgetBytes);
  if (victims.size === 0) return { references: group.references, writtenBytes: 0, isSettled };
  const withZeros = [...victims].some((at) => index.hasZeros(at));
  for (const window of index.windows()) {
    const { map, segments } = await index.overlay(window);
    const { disk } = window;
    const wanted = map.pick((at) => isData(map.run(at)) && victims.has(map.run(at).segment));
    const write = (offsetBytes: number, data: Uint8Array) => to.append({ disk, offsetBytes }, data);
    await copyRuns({ ...group, disk }, { map: wanted, segments }, { write });
    if (withZeros) await writeZeros(map, disk, to);
  }
  const written = await to.finish();
  const kept = group.references.filter((_, at) => !victims.has(at));
  const references = [...kept, ...written];
  await compare(index, await GroupIndex.read(group.log, references, group.point));
  return { references, writtenBytes: written.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), isSettled };
}

/** Adjoining zeros of several segments are one run of the map, so all are written once any segment with zeros goes. */
async function writeZeros(map: ExtentMap, disk: number, to: MergedSegments): Promise<void> {
  for (let at = 0; at < map.length; at += 1) {
    const run = map.run(at);
    if (isData(run)) continue;
    const lengthBytes = (run.endSector - run.startSector) * SECTOR_BYTES;
    await to.appendZeros({ disk, offsetBytes: run.startSector * SECTOR_BYTES }, lengthBytes);
  }
}

async function pickVictims(
  index: GroupIndex,
  budgetBytes: number,
): Promise<{ victims: Set<number>; isSettled: boolean }> {
  const shown = await shownSectors(index);
  const candidates = index.references.map(({ sizeBytes }, at) => {
    const dataSectors = index.dataSectors(at);
    const ratio = dataSectors === 0 ? 1 : (shown[at] ?? 0) / dataSectors;
    return { at, sizeBytes, ratio };
  });
  const hidden = candidates.filter(({ ratio }) => ratio < LEAST_SHOWN);
  const small = candidates.filter(({ ratio, sizeBytes }) => ratio >= LEAST_SHOWN && sizeBytes < SMALL_BYTES);
  const joined = small.length + hidden.length > 1 ? small : [];
  const victims = new Set<number>();
  let costBytes = 0;
  for (const { at, sizeBytes, ratio } of [...hidden.toSorted((a, b) => a.ratio - b.ratio), ...joined]) {
    if (victims.size > 1 && costBytes + sizeBytes * ratio > budgetBytes) return { victims, isSettled: false };
    victims.add(at);
    costBytes += sizeBytes * ratio;
  }
  return { victims, isSettled: true };
}

/** Sectors with bytes that show, by segment. */
async function shownSectors(index: GroupIndex): Promise<Float64Array> {
  const shown = new Float64Array(index.references.length);
  for (const window of index.windows()) {
    const { map } = await index.overlay(window);
    for (let at = 0; at < map.length; at += 1) {
      const run = map.run(at);
      if (isData(run)) shown[run.segment] = (shown[run.segment] ?? 0) + run.endSector - run.startSector;
    }
  }
  return shown;
}

/**
 * What the new segments show must be what the old ones did: everywhere, zeros for zeros, and what was not rewritten
 * from the same frame. What was rewritten was proven when it was written.
 *
 * @throws Error where it is not: a bug; nothing has been published then.
 */
async function compare(before: GroupIndex, after: GroupIndex): Promise<void> {
  const rewritten = new Set(after.references.map(({ name }) => name));
  for (const { name } of before.references) rewritten.delete(name);
  for (const window of after.windows()) {
    if (!before.windows().some((one) => sameWindow(one, window)))
      throw new Error('a compaction shows more than it should');
  }
  for (const window of before.windows()) {
    const old = piecesOf(await before.overlay(window), new Set());
    const now = piecesOf(await after.overlay(window), rewritten);
    if (!samePieces(old, now)) {
      throw new Error(
        `a compaction shows something else on disk ${window.disk} from sector ${window.range.startSector}`,
      );
    }
  }
}

function sameWindow(a: { disk: number; range: { startSector: number } }, b: typeof a): boolean {
  return a.disk === b.disk && a.range.startSector === b.range.startSector;
}

/** Part of a disk and what it shows: zeros, a frame by its place, or a frame that was rewritten. */
interface Piece {
  startSector: number;
  endSector: number;
  from: string;
}

const ZEROS = 'zeros';
const REWRITTEN = 'rewritten';

function* piecesOf(
  { map, segments }: Overlay,
  rewritten: ReadonlySet<string>,
): Generator<Piece, void, undefined> {
  for (let at = 0; at < map.length; at += 1) {
    const { startSector, endSector, segment, fileOffset, payloadLength } = map.run(at);
    const name = segments[segment]?.reference.name ?? '';
    const bytesFrom = rewritten.has(name) ? REWRITTEN : `${name}@${fileOffset}`;
    yield { startSector, endSector, from: payloadLength === 0 ? ZEROS : bytesFrom };
  }
}

/** Whether both cover the same sectors with the same; where one was rewritten, any frame of the other will do. */
function samePieces(before: Iterator<Piece>, after: Iterator<Piece>): boolean {
  let old = next(before);
  let now = next(after);
  while (old !== undefined && now !== undefined) {
    const isSame = old.from === now.from || (now.from === REWRITTEN && old.from !== ZEROS);
    if (old.startSector !== now.startSector || !isSame) return false;
    const end = Math.min(old.endSector, now.endSector);
    old = old.endSector === end ? next(before) : { ...old, startSector: end };
    now = now.endSector === end ? next(after) : { ...now, startSector: end };
  }
  return old === undefined && now === undefined;
}

function next(pieces: Iterator<Piece>): Piece | undefined {
  const found = pieces.next();
  return found.done === true ? undefined : found.value;
}

function isData({ payloadLength }: Run): boolean {
  return payloadLength > 0;
}
