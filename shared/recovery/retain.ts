/**
 * Retention of one item, step by step: recovery points that the policy does not keep any more are dropped, what only
 * they needed is compacted away, and what nothing leads to is collected. Every step may die anywhere and be repeated.
 */
import { DomainError } from '../fault.ts';
import { type ItemRef } from '../protection/item-row.ts';
import { type ReplicaVault, containerOf, openDataKey } from '../protection/replica-container.ts';
import { BlobReplicaStore } from '../replica/blob-replica-store.ts';
import { type Collection, collect } from '../replica/collect.ts';
import { type CompactionStep, compact } from '../replica/compact.ts';
import { ReplicaError } from '../replica/replica-error.ts';
import { type ReplicaLog, StoreError } from '../replica/replica-store.ts';
import { type FramePool } from '../replica/frame-pool.ts';
import { MiB } from '../bytes.ts';
import { type Table } from '../store/table.ts';
import {
  type CompactionState,
  type RetentionRun,
  changeTakenCompaction,
  fenceWrite,
  forgetRetentionRuns,
  givenNumbers,
  putRetentionRun,
  takeCompaction,
} from './compaction-store.ts';
import { forgetHours, historyKeptMs } from './history.ts';
import { holdsAt } from './hold-point.ts';
import { allPoints, dropPoint, findAnchor, moveCompaction } from './recovery-point-store.ts';
import { type Anchor, type RecoveryPoint } from './recovery-point.ts';
import { type Retention, denseAgeMs, pointsToDrop } from './thinning.ts';

/** Points that one step drops: what is told of them fits in a row. */
const mostDropsAStep = 1_000;
const leastBudgetBytes = 32 * MiB;
/** How long appliances may go on with an upload that they have begun: the life of their grants. */
const longestUploadMs = 60 * 60_000;
/** As long as audit rows. */
const runsKeptMs = 90 * 24 * 60 * 60_000;

/** How a step is done. */
export interface RetainOptions {
  retention: Retention;
  /** Bytes of segments that one step may write at most. */
  budgetBytes: number;
  /** How long a dead blob stays: readers go on with what they have read for so long. */
  graceMs: number;
  /** Ends the step; the next one gets less to do. */
  signal?: AbortSignal;
  pool?: FramePool;
  nowMs: number;
}

/** Whether all is done for now, or another step is due at once. */
export interface RetainOutcome {
  isComplete: boolean;
}

interface Step {
  table: Table;
  item: ItemRef;
  log: ReplicaLog;
  /** As it was taken. */
  state: CompactionState;
  run: RetentionRun;
  options: RetainOptions;
}

/**
 * Does one step. A damaged log is left as it is, and the item's row says why.
 * @throws Unavailable when Storage can't be reached, or another step of the same item got in between: repeat it;
 * ResourceNotFound when the item is gone.
 */
export async function retainItem(
  services: ReplicaVault & { table: Table },
  item: ItemRef,
  options: RetainOptions,
): Promise<RetainOutcome> {
  const { table } = services;
  const anchor = await findAnchor(table, item);
  if (anchor === undefined) return { isComplete: true };
  const log = {
    store: new BlobReplicaStore(containerOf(services, item.protectedItemId)),
    itemId: item.protectedItemId,
    dataKey: await openDataKey(services, item.protectedItemId),
  };
  const state = await takeCompaction(table, item, options.budgetBytes);
  const run = newRun(state, options);
  try {
    return await doStep({ table, item, log, state, run, options });
  } catch (error) {
    return await failed({ table, item, state, options }, error);
  }
}

async function doStep(step: Step): Promise<RetainOutcome> {
  const { table, item, state, run, options } = step;
  const hasDroppedAll = await dropPoints(step);
  const anchor = await findAnchor(table, item);
  if (anchor === undefined) return { isComplete: true };
  const compacted = await compactOnce(step, anchor);
  if (compacted !== undefined) {
    run.compaction = compacted.compaction;
    run.writtenBytes = compacted.writtenBytes;
    await publish(step, anchor, compacted);
    await putRetentionRun(table, item, run);
  }
  if (!hasDroppedAll || compacted?.isComplete === false) return { isComplete: false };
  const collection = await collectOnce(step);
  const { removedBlobs, removedBytes, retainedBlobs, ...space } = collection;
  Object.assign(run, { removedBlobs, removedBytes, retainedBlobs });
  if (isWorthTelling(run)) await putRetentionRun(table, item, run);
  await forgetRetentionRuns(table, item, options.nowMs - runsKeptMs);
  await forgetHours(table, item, options.nowMs - historyKeptMs);
  await changeTakenCompaction(table, item, state.fence, (now) => ({
    ...now,
    space: { ...space, atMs: options.nowMs },
    completedAtMs: options.nowMs,
    budgetBytes: Math.min(options.budgetBytes, 2 * now.budgetBytes),
    problem: undefined,
  }));
  return { isComplete: true };
}

function newRun({ fence }: CompactionState, { nowMs }: RetainOptions): RetentionRun {
  const nothing = { dropped: [], writtenBytes: 0, removedBlobs: 0, removedBytes: 0, retainedBlobs: 0 };
  return { runId: String(fence), atMs: nowMs, ...nothing };
}

function isWorthTelling({ dropped, compaction, removedBlobs, retainedBlobs }: RetentionRun): boolean {
  return dropped.length > 0 || compaction !== undefined || removedBlobs > 0 || retainedBlobs > 0;
}

/**
 * What is going is written down first, so that it is told even when we die. A point that somebody holds stays. Answers
 * whether that was all.
 */
async function dropPoints({ table, item, run, options }: Step): Promise<boolean> {
  const { retention, nowMs } = options;
  const rows = await allPoints(table, item);
  const going = new Set(
    pointsToDrop(
      rows.map(({ value }) => value),
      retention,
      nowMs,
    ),
  );
  const due = rows.filter(({ value }) => going.has(value) && holdsAt(value, nowMs).length === 0);
  if (due.length === 0) return true;
  const now = due.slice(-mostDropsAStep); // the oldest
  run.dropped = now.map(({ value }) => toldOf(value));
  await putRetentionRun(table, item, run);
  const stayed = new Set<number>();
  for (const row of now) if (!(await dropPoint(table, item, row))) stayed.add(row.value.sequence);
  run.dropped = run.dropped.filter(({ sequence }) => !stayed.has(sequence));
  return now.length === due.length;
}

function toldOf({ name, sequence, timeMs, consistency }: RecoveryPoint): RetentionRun['dropped'][number] {
  return { name, sequence, timeMs, consistency };
}

async function compactOnce(
  { table, item, log, state, options }: Step,
  anchor: Anchor,
): Promise<CompactionStep | undefined> {
  const points = await allPoints(table, item);
  return compact({
    log,
    head: { sequence: anchor.sequence, hash: anchor.hash },
    current: anchor.compaction,
    kept: new Map(points.map(({ value }) => [value.sequence, value.hash])),
    coverBeforeMs: options.nowMs - denseAgeMs(options.retention),
    numbers: givenNumbers(state),
    budgetBytes: state.budgetBytes,
    nowMs: options.nowMs,
    ...(options.signal !== undefined && { signal: options.signal }),
    ...(options.pool !== undefined && { pool: options.pool }),
  });
}

/** Brings a record into force, unless somebody else took the row. */
async function publish(
  { table, item, state }: Step,
  before: Anchor,
  compacted: CompactionStep,
): Promise<void> {
  const isMoved = await moveCompaction(table, item, {
    from: before.compaction,
    to: compacted.compaction,
    fence: () => fenceWrite(table, item, state.fence),
  });
  if (!isMoved) throw overtaken();
}

async function collectOnce({ table, item, log, state, options }: Step): Promise<Collection> {
  const anchor = await findAnchor(table, item);
  if (anchor === undefined) throw overtaken();
  const points = await allPoints(table, item);
  const { sequence, hash, compaction } = anchor;
  return collect({
    log,
    head: { sequence, hash },
    compaction,
    number: givenNumbers(state).compaction,
    unused: state.next,
    minimumAgeMs: longestUploadMs + options.graceMs,
    graceMs: options.graceMs,
    mayRemove: points.every(({ value }) => holdsAt(value, options.nowMs).length === 0),
    nowMs: options.nowMs,
    ...(options.signal !== undefined && { signal: options.signal }),
  });
}

/** A damaged log is told and left; a step that took too long is tried again with less to do. */
async function failed(
  { table, item, state, options }: Pick<Step, 'table' | 'item' | 'state' | 'options'>,
  error: unknown,
): Promise<RetainOutcome> {
  if (error instanceof ReplicaError) {
    const { blob, detail } = error.defect;
    await changeTakenCompaction(table, item, state.fence, (now) => ({
      ...now,
      completedAtMs: options.nowMs,
      problem: { blob, detail, atMs: now.problem?.blob === blob ? now.problem.atMs : options.nowMs },
    }));
    return { isComplete: true };
  }
  if (options.signal?.aborted === true) {
    await changeTakenCompaction(table, item, state.fence, (now) => ({
      ...now,
      budgetBytes: Math.max(leastBudgetBytes, now.budgetBytes / 2),
    }));
    throw unavailable('The step took too long; the next one does less.', error);
  }
  if (error instanceof StoreError && error.isRetryable) {
    throw unavailable('Storage can not be reached just now.', error);
  }
  throw error;
}

function overtaken(): DomainError {
  return unavailable('Another compaction of the same item got in between.', undefined);
}

function unavailable(message: string, cause: unknown): DomainError {
  return new DomainError({ code: 'Unavailable', message }, { cause });
}
