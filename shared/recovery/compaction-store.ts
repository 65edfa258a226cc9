/** What the control plane keeps of an item's compaction: numbers that were given, the space used, what was dropped when. */
import { z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { deleteRows } from '../store/delete-rows.ts';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row, type RowPage, Rows } from '../store/rows.ts';
import { type RowWrite, type Table } from '../store/table.ts';
import { type PointsOf } from './recovery-point-store.ts';

const stateKind = 'compactions';
const runKind = 'retentionruns';
const maxMs = 2 ** 48 - 1;
/** Numbers that one step is given; more than it can use. */
const segmentsAStep = 100_000;
const layersAStep = 10_000;

/** Bytes of an item's container. */
export const SpaceUsed = z.object({
  /** Everything in it. */
  storedBytes: z.number(),
  /** Of that: needed to restore the points that there are. */
  liveBytes: z.number(),
  /** Of that: nothing leads to it any more; it is deleted after the grace time. */
  deadBytes: z.number(),
  atMs: z.number(),
});
export type SpaceUsed = z.infer<typeof SpaceUsed>;

/**
 * One row an item. Who wants to publish a compaction, or to collect, first takes the row by raising `fence`, and must
 * find its ETag unchanged at the end: so of two who work at once one gets through.
 */
export const CompactionState = z.object({
  fence: z.number(),
  /** First numbers that nobody was given yet. */
  next: z.object({ compaction: z.number(), layer: z.number(), segment: z.number() }),
  /** Bytes that the next step may write; halved when one took too long. */
  budgetBytes: z.number(),
  /** When all was last done that there was to do. */
  completedAtMs: z.number().optional(),
  space: SpaceUsed.optional(),
  /** Why nothing is compacted or deleted, as long as it is so. */
  problem: z.object({ blob: z.string(), detail: z.string(), atMs: z.number() }).optional(),
});
export type CompactionState = z.infer<typeof CompactionState>;

/** What one run dropped, wrote and deleted. */
export const RetentionRun = z.object({
  runId: z.string(),
  atMs: z.number(),
  /** The recovery points that can not be restored any more. */
  dropped: z.array(
    z.object({
      name: z.uuid(),
      sequence: z.number(),
      timeMs: z.number(),
      consistency: z.enum(['CrashConsistent', 'AppConsistent']),
    }),
  ),
  /** The record that came into force, where one did. */
  compaction: z.object({ number: z.number(), hash: z.string() }).optional(),
  writtenBytes: z.number(),
  removedBlobs: z.number(),
  removedBytes: z.number(),
  /** Dead blobs that a policy of the storage keeps. */
  retainedBlobs: z.number(),
});
export type RetentionRun = z.infer<typeof RetentionRun>;

export async function findCompactionState(
  table: Table,
  item: PointsOf,
): Promise<Row<CompactionState> | undefined> {
  return new Rows(table, CompactionState).find(stateKey(item));
}

/**
 * Takes the row: raises its fence, and gives numbers that nobody else has or will have.
 * @throws PreconditionFailed or Conflict when somebody else takes it at the same time.
 */
export async function takeCompaction(
  table: Table,
  item: PointsOf,
  budgetBytes: number,
): Promise<CompactionState> {
  const rows = new Rows(table, CompactionState);
  const known = await rows.find(stateKey(item));
  const next = known?.value.next ?? { compaction: 1, layer: 1, segment: 1 };
  const state = {
    ...known?.value,
    fence: (known?.value.fence ?? 0) + 1,
    next: {
      compaction: next.compaction + 1,
      layer: next.layer + layersAStep,
      segment: next.segment + segmentsAStep,
    },
    budgetBytes: Math.min(known?.value.budgetBytes ?? budgetBytes, budgetBytes),
  };
  await (known === undefined
    ? rows.insert(stateKey(item), state)
    : rows.replace(stateKey(item), state, known.etag));
  return state;
}

/** The first numbers that were given when the row was taken. */
export function givenNumbers({ next }: CompactionState): CompactionState['next'] {
  return {
    compaction: next.compaction - 1,
    layer: next.layer - layersAStep,
    segment: next.segment - segmentsAStep,
  };
}

/** Changes the row as long as nobody else has taken it since. Answers whether that is so. */
export async function changeTakenCompaction(
  table: Table,
  item: PointsOf,
  fence: number,
  change: (state: CompactionState) => CompactionState,
): Promise<boolean> {
  const state = await new Rows(table, CompactionState).update(stateKey(item), (now) =>
    now?.fence === fence ? change(now) : undefined,
  );
  return state?.fence === fence;
}

/** A write that fails a transaction when somebody else has taken the row; undefined when somebody already has. */
export async function fenceWrite(table: Table, item: PointsOf, fence: number): Promise<RowWrite | undefined> {
  const row = await findCompactionState(table, item);
  if (row?.value.fence !== fence) return undefined;
  return { do: 'replace', key: stateKey(item), value: row.value, etag: row.etag };
}

/** When each of a vault's items was last gone through, by protected item id. */
export async function listCompactionStates(
  table: Table,
  vault: VaultRef,
): Promise<Map<string, CompactionState>> {
  const range = rowsBelow(vaultPartition(vault), stateKind);
  const found = new Map<string, CompactionState>();
  let continuation: string | undefined;
  do {
    const page = await table.page(range, { continuation });
    for (const { key, value } of new Rows(table, CompactionState).decodeAll(page.entities)) {
      found.set(key.slice(range.from.length), value);
    }
    ({ continuation } = page);
  } while (continuation !== undefined);
  return found;
}

/** Writes what a run does; again as it goes on. */
export async function putRetentionRun(table: Table, item: PointsOf, run: RetentionRun): Promise<void> {
  await new Rows(table, RetentionRun).upsert(runKey(item, run), run);
}

/** One page of an item's runs, newest first. */
export function listRetentionRuns(
  table: Table,
  item: PointsOf,
  page: { most?: number; continuation?: string | undefined },
): Promise<RowPage<RetentionRun>> {
  return new Rows(table, RetentionRun).page(runRange(item), page);
}

/** Deletes runs of an item that are older. */
export async function forgetRetentionRuns(table: Table, item: PointsOf, beforeMs: number): Promise<void> {
  const range = runRange(item);
  await deleteRows(table, { ...range, from: `${range.from}${orderAt(beforeMs)}` });
}

/** Forgets all that is kept of an item's compaction. */
export async function removeCompaction(table: Table, item: PointsOf): Promise<void> {
  await deleteRows(table, runRange(item));
  await new Rows(table, CompactionState).delete(stateKey(item));
}

function stateKey({ vault, protectedItemId }: PointsOf): RowKey {
  return rowKey(vaultPartition(vault), stateKind, protectedItemId);
}

function runKey({ vault, protectedItemId }: PointsOf, { atMs, runId }: RetentionRun): RowKey {
  return rowKey(vaultPartition(vault), runKind, protectedItemId, `${orderAt(atMs)}-${runId}`);
}

function runRange({ vault, protectedItemId }: PointsOf): RowRange {
  return rowsBelow(vaultPartition(vault), runKind, protectedItemId);
}

/** Newest first. */
function orderAt(atMs: number): string {
  return (maxMs - atMs).toString(16).padStart(12, '0');
}
