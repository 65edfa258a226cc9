import { type VaultRef } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { getJob } from '../job/job-store.ts';
import { isOver } from '../job/job.ts';
import { type Table } from '../store/table.ts';
import { changeItem, itemNotFound } from './protected-item-store.ts';
import { type CurrentJob, type ProtectedItem } from './protected-item.ts';

/**
 * Gives an item to a job. A job that has ended, or that never came to be because the host died, holds it no longer;
 * against a job with `force` nobody does.
 * @throws Conflict when another job holds the item, ResourceNotFound when it is gone.
 */
export async function holdItem(
  table: Table,
  vault: VaultRef,
  seen: ProtectedItem,
  holder: CurrentJob,
): Promise<void> {
  if (holder.force !== true && (await findRunningHolder(table, vault, seen)) !== undefined)
    throw itemBusy(seen);
  const held = await changeItem(table, vault, seen, (row) =>
    row.currentJob?.jobId === seen.currentJob?.jobId ? { ...row, currentJob: holder } : row,
  );
  if (held === undefined) throw itemNotFound(seen);
  if (held.currentJob?.jobId !== holder.jobId) throw itemBusy(held);
}

/** The job that holds an item, as long as it runs. */
export async function findRunningHolder(
  table: Table,
  vault: VaultRef,
  item: ProtectedItem,
): Promise<CurrentJob | undefined> {
  const { currentJob } = item;
  if (currentJob === undefined) return undefined;
  try {
    const { state } = await getJob(table, { vault, jobId: currentJob.jobId });
    return isOver(state) ? undefined : currentJob;
  } catch (error) {
    if (error instanceof DomainError && error.fault.code === 'ResourceNotFound') return undefined;
    throw error;
  }
}

/** @returns Conflict: another job is at work on the item. */
export function itemBusy(item: ProtectedItem): DomainError {
  const { currentJob } = item;
  const which =
    currentJob === undefined ? 'another job' : `the job ${currentJob.scenario} (${currentJob.jobId})`;
  return new DomainError({
    code: 'Conflict',
    message: `The replication protected item '${item.itemName}' is held by ${which}.`,
    target: item.itemName,
    recommendedAction: 'Wait until that job has ended, or cancel it, then repeat the operation.',
  });
}
