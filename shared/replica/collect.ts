/**
 * The collection: finds the blobs of a log that nothing leads to any more, lists them, and deletes those that an
 * earlier collection listed. What is dead stays dead: a name is never given again, and later points name later segments
 * only. So nothing that an appliance still writes, and nothing that an interrupted compaction of another process may
 * still publish, is ever taken for dead.
 */
import type { PointView } from './chain-rules.ts';
import { readChain } from './chain.ts';
import type { CompactionHead } from './compaction-record.ts';
import { readCompaction } from './compaction-record.ts';
import { forEachOf } from './concurrently.ts';
import { MAX_TOMBSTONES, findTombstones, putTombstones } from './dead-blobs.ts';
import type { Tombstones } from './dead-blobs.ts';
import {
  compactionName,
  findCompactionNumber,
  findSequence,
  layerName,
  mergedSegmentName,
  pointName,
} from './layout.ts';
import type { ChainHead } from './point.ts';
import type { BlobEntry, ReplicaLog } from './replica-store.ts';

const REMOVALS_AT_ONCE = 8;
/** Blobs that one collection deletes. */
const MAX_REMOVALS = 10_000;

/** What a collection goes by. */
export interface CollectionRequest {
  log: ReplicaLog;
  /** The anchored head, and the compaction in force. */
  head: ChainHead;
  compaction: CompactionHead | undefined;
  /** A number for the list that it may write; all that compactions wrote before have lower ones. */
  number: number;
  /** The first numbers that compactions have not used yet. */
  unused: { layer: number; segment: number };
  /** A blob that is younger is left alone: its writer may still be at work. */
  minimumAgeMs: number;
  /** How long a blob stays after it was listed: as long as a reader may go on with what it has read. */
  graceMs: number;
  /** False: somebody reads by what may be listed already; nothing is deleted this time. */
  mayRemove: boolean;
  nowMs: number;
  signal?: AbortSignal;
}

/** What a container holds, in bytes, and what was deleted. */
export interface Collection {
  /** Everything that is there after it. */
  storedBytes: number;
  /** Of that: needed to restore the points that are kept. */
  liveBytes: number;
  /** Of that: nothing leads to it; it goes when its time has come. */
  deadBytes: number;
  removedBlobs: number;
  removedBytes: number;
  /** Blobs that would go, but for a policy of the store that keeps them. */
  retainedBlobs: number;
}

/**
 * Does one collection. May be interrupted anywhere and repeated.
 *
 * @throws ReplicaError naming the blob that is wrong: in a damaged log nothing is deleted.
 */
export async function collect(request: CollectionRequest): Promise<Collection> {
  const live = await readLive(request);
  const listing = await readListing(request, live);
  const lists = await readLists(request, listing.lists);
  const { due, listed } = sort(request, listing.dead, lists);
  const fresh = listing.dead.filter(({ name }) => !listed.has(name)).map(({ name }) => name);
  const names = fresh.slice(0, MAX_TOMBSTONES);
  const list = { number: request.number, atMs: request.nowMs, names };
  const listBytes = names.length === 0 ? 0 : await putTombstones(request.log, list);
  const removed = request.mayRemove ? await remove(request, due) : nothing();
  const deadNames = new Set(listing.dead.map(({ name }) => name).filter((name) => !removed.names.has(name)));
  const spent = lists.filter(
    ({ list }) => list === undefined || list.names.every((name) => !deadNames.has(name)),
  );
  for (const { entry } of spent) await request.log.store.remove(entry.name);
  const spentBytes = sizeOf(spent.map(({ entry }) => entry));
  return {
    storedBytes: listing.storedBytes + listBytes - removed.bytes - spentBytes,
    liveBytes: listing.liveBytes,
    deadBytes: sizeOf(listing.dead) - removed.bytes,
    removedBlobs: removed.blobs,
    removedBytes: removed.bytes,
    retainedBlobs: removed.retained,
  };
}

interface Live {
  names: ReadonlySet<string>;
  /** Segments of the chain up to here are named by a point, or never will be. */
  lastSegment: number;
}

/** All that leads from the anchor. */
async function readLive({ log, head, compaction }: CollectionRequest): Promise<Live> {
  const record = compaction && (await readCompaction(log, compaction)).record;
  const points = await readChain(log, { ...head, compaction: compaction ?? null });
  const segments = points.flatMap(({ manifest }) => manifest.segments);
  const names = new Set(segments.map(({ name }) => name));
  for (const { manifest } of points)
    if (manifest.isCompacted !== true) names.add(pointName(manifest.sequence));
  if (record !== undefined) {
    names.add(compactionName(record.number)).add(pointName(record.head.sequence));
    for (const { layers } of record.points) for (const { number } of layers) names.add(layerName(number));
  }
  return { names, lastSegment: lastSegmentOf(points) ?? record?.lastSegment ?? 0 };
}

function lastSegmentOf(points: readonly PointView[]): number | undefined {
  const ofChain = points.filter(({ manifest }) => manifest.isCompacted !== true);
  return ofChain.flatMap(({ manifest }) => manifest.segments).at(-1)?.sequence;
}

interface Listing {
  dead: BlobEntry[];
  lists: BlobEntry[];
  storedBytes: number;
  liveBytes: number;
}

async function readListing(request: CollectionRequest, live: Live): Promise<Listing> {
  const listing: Listing = { dead: [], lists: [], storedBytes: 0, liveBytes: 0 };
  for await (const entry of request.log.store.list('')) {
    request.signal?.throwIfAborted();
    listing.storedBytes += entry.sizeBytes;
    if (live.names.has(entry.name)) listing.liveBytes += entry.sizeBytes;
    else if (entry.name.startsWith('tombstones/')) listing.lists.push(entry);
    else if (isDead(request, live, entry)) listing.dead.push(entry);
  }
  return listing;
}

/** Whether a blob that nothing leads to never can be led to. Others of its kind are on their way. */
function isDead(request: CollectionRequest, live: Live, { name, writtenAtMs }: BlobEntry): boolean {
  if (request.nowMs - writtenAtMs < request.minimumAgeMs) return false;
  const sequence = findSequence(name);
  if (sequence !== undefined) {
    const last = name === pointName(sequence) ? request.head.sequence : live.lastSegment;
    return sequence <= last;
  }
  const compaction = findCompactionNumber(name);
  if (compaction !== undefined) return compaction < request.number;
  return (
    (name.startsWith('layers/') && name < layerName(request.unused.layer)) ||
    (name.startsWith('base/') && name < mergedSegmentName(request.unused.segment))
  );
}

interface List {
  entry: BlobEntry;
  list: Tombstones | undefined;
}

async function readLists({ log }: CollectionRequest, entries: readonly BlobEntry[]): Promise<List[]> {
  const lists: List[] = [];
  for (const entry of entries) lists.push({ entry, list: await findTombstones(log, entry) });
  return lists;
}

/** Of the dead: those whose time has come, and the names of all that are listed. */
function sort(
  { nowMs, graceMs }: CollectionRequest,
  dead: readonly BlobEntry[],
  lists: readonly List[],
): { due: BlobEntry[]; listed: Set<string> } {
  const listed = new Set<string>();
  const expired = new Set<string>();
  for (const { list } of lists) {
    const isExpired = list !== undefined && Date.parse(list.time) + graceMs <= nowMs;
    for (const name of list?.names ?? []) {
      listed.add(name);
      if (isExpired) expired.add(name);
    }
  }
  return { due: dead.filter(({ name }) => expired.has(name)).slice(0, MAX_REMOVALS), listed };
}

interface Removed {
  names: Set<string>;
  blobs: number;
  bytes: number;
  retained: number;
}

function nothing(): Removed {
  return { names: new Set(), blobs: 0, bytes: 0, retained: 0 };
}

/** Records go before layers and layers before segments, so that whatever is left never leads to what is gone. */
async function remove({ log, signal }: CollectionRequest, due: readonly BlobEntry[]): Promise<Removed> {
  const removed = nothing();
  const kinds = ['compactions/', 'layers/', 'points/', ''];
  const rank = ({ name }: BlobEntry): number => kinds.findIndex((kind) => name.startsWith(kind));
  for (const at of kinds.keys()) {
    await forEachOf(
      due.filter((entry) => rank(entry) === at),
      REMOVALS_AT_ONCE,
      async ({ name, sizeBytes }) => {
        signal?.throwIfAborted();
        const outcome = await log.store.remove(name);
        if (outcome === 'retained') {
          removed.retained += 1;
          return;
        }
        removed.names.add(name);
        removed.bytes += sizeBytes;
        if (outcome === 'removed') removed.blobs += 1;
      },
    );
  }
  return removed;
}

function sizeOf(entries: readonly BlobEntry[]): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
