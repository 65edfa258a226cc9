import { type VaultRef } from '../arm/resource-id.ts';
import { type RowPage, Rows, notFound } from '../store/rows.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Table } from '../store/table.ts';
import { Job, type JobStart, newJob } from './job.ts';
import { findJobOrder, startOrder } from './job-id.ts';

const kind = 'replicationJobs';

/** Which job: the vault it belongs to and its id. */
export interface JobRef {
  vault: VaultRef;
  jobId: string;
}

/** @throws ResourceNotFound */
export async function getJob(table: Table, ref: JobRef): Promise<Job> {
  const row = await rowsOf(table).find(keyOf(ref));
  if (row === undefined) throw jobNotFound(ref.jobId);
  return row.value;
}

/** Jobs that started in a span of time; both ends belong to it. */
export interface JobRange {
  startedFromMs?: number | undefined;
  startedToMs?: number | undefined;
}

/** One page of a vault's jobs, newest first. */
export function listJobs(
  table: Table,
  vault: VaultRef,
  where: JobRange & { most?: number | undefined; continuation?: string | undefined } = {},
): Promise<RowPage<Job>> {
  const { startedFromMs, startedToMs, ...page } = where;
  const all = rowsBelow(vaultPartition(vault), kind);
  return rowsOf(table).page(
    {
      ...all,
      ...(startedToMs !== undefined && { from: `${all.from}${startOrder(startedToMs)}` }),
      // The order is followed by a hyphen, than which the full stop comes later.
      ...(startedFromMs !== undefined && { to: `${all.from}${startOrder(startedFromMs)}.` }),
    },
    page,
  );
}

/** Writes the job's first row; where it is there already, that one stays. */
export async function ensureJob(table: Table, vault: VaultRef, start: JobStart): Promise<void> {
  await rowsOf(table).update(keyOf({ vault, jobId: start.jobId }), (job) =>
    job === undefined ? newJob(start) : undefined,
  );
}

/**
 * Applies a change of {@link Job} under its ETag and answers the job as it then is. A change that gives the same
 * object writes nothing.
 * @throws ResourceNotFound
 */
export async function changeJob(table: Table, ref: JobRef, change: (job: Job) => Job): Promise<Job> {
  const changed = await rowsOf(table).update(keyOf(ref), (job) => {
    if (job === undefined) throw jobNotFound(ref.jobId);
    const next = change(job);
    return next === job ? undefined : next;
  });
  if (changed === undefined) throw jobNotFound(ref.jobId);
  return changed;
}

function rowsOf(table: Table): Rows<Job> {
  return new Rows(table, Job);
}

function keyOf({ vault, jobId }: JobRef): RowKey {
  const order = findJobOrder(jobId);
  if (order === undefined) throw jobNotFound(jobId);
  return rowKey(vaultPartition(vault), kind, order);
}

function jobNotFound(jobId: string) {
  return notFound(`The job '${jobId.slice(0, 100)}'`);
}
