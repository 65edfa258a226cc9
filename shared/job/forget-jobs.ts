import { type VaultRef } from '../arm/resource-id.ts';
import { rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { findJobOrder, jobIdAt } from './job-id.ts';
import { Job, isOver } from './job.ts';

const kind = 'replicationJobs';

/** Deletes the jobs that ended before a moment. One that still runs stays, however old it is. */
export async function forgetJobs(table: Table, vault: VaultRef, beforeMs: number): Promise<void> {
  const partition = vaultPartition(vault);
  const jobs = new Rows(table, Job);
  // Rows are in the order of the jobs' start, newest first: what started later has not ended before.
  const { row: from } = rowKey(partition, kind, findJobOrder(jobIdAt(beforeMs)) ?? '');
  const range = { ...rowsBelow(partition, kind), from };
  let continuation: string | undefined;
  do {
    const page = await jobs.page(range, { continuation });
    for (const { value: job, etag } of page.rows) {
      const order = findJobOrder(job.jobId);
      if (order === undefined || !isOver(job.state) || (job.endedAtMs ?? job.startedAtMs) > beforeMs)
        continue;
      await jobs.delete(rowKey(partition, kind, order), etag);
    }
    continuation = page.continuation;
  } while (continuation !== undefined);
}
