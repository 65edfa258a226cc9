/** The Finalize protection job: runs once for an item, when its first recovery point is in the replica log. */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { getJob } from '../../shared/job/job-store.ts';
import { isOver } from '../../shared/job/job.ts';
import { DomainError } from '../../shared/fault.ts';
import { getItem } from '../../shared/protection/protected-item-store.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { ItemHandleSchema, ItemInput, itemInput, moveItem } from './item-activities.ts';
import { type JobRun, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const finalizeProtection = 'finalizeProtection';

export const FinalizeProtectionInput = z.object({ item: ItemHandleSchema });

/** Whether the item is held by no other job any more, so that it can be finalized. */
const isEnabled = activity(
  'isEnabled',
  { input: ItemInput, output: z.object({ enabled: z.boolean() }) },
  async ({ vault, item, jobId }) => {
    const { table } = services();
    const row = await getItem(table, vault, item);
    const { currentJob } = row;
    if (currentJob === undefined || currentJob.jobId === jobId) {
      return { enabled: row.state !== 'EnablingProtection' };
    }
    const holder = await getJob(table, { vault, jobId: currentJob.jobId });
    return { enabled: isOver(holder.state) && row.state !== 'EnablingProtection' };
  },
);

/** Follows the replica log once more: the answer is about what is there now. */
const requirePoint = activity(
  'requirePoint',
  { input: ItemInput, output: z.void() },
  async ({ vault, item }) => {
    const ref = { vault, protectedItemId: item.protectedItemId };
    const anchor = await advanceRecoveryPoints(services(), ref);
    if (anchor?.newest !== undefined) return;
    throw new DomainError({
      code: 'ReplicaDamaged',
      message: `The replica log of '${item.itemName}' has no recovery point.`,
      recommendedAction: 'Disable replication and enable it again.',
    });
  },
);

jobOrchestration(finalizeProtection, FinalizeProtectionInput, {
  *run(job, input) {
    const item = itemInput(job, input.item);
    const { context } = job;
    yield* runTask(job, 'VmCompleteInitialReplication', function* () {
      yield* waitUntilEnabled(job, input);
      const atMs = context.df.currentUtcDateTime.getTime();
      yield* moveItem(context, { ...item, transition: { to: 'taken', scenario: 'IrCompletion', atMs } });
      job.undo.push(() => moveItem(context, { ...item, transition: { to: 'left' } }));
      yield* requirePoint(context, item);
    });
    yield* runTask(job, 'UpdateDraState', () => {
      const atMs = context.df.currentUtcDateTime.getTime();
      return moveItem(context, { ...item, transition: { to: 'protected', atMs } });
    });
  },
});

/** A small disk's first point may be there before the Enable replication job has ended. */
function* waitUntilEnabled(
  job: JobRun,
  input: z.infer<typeof FinalizeProtectionInput>,
): Generator<Task, void, unknown> {
  const { context } = job;
  for (let waitMs = 500; ; waitMs = Math.min(2 * waitMs, 30_000)) {
    const { enabled } = yield* isEnabled(context, itemInput(job, input.item));
    if (enabled) return;
    yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + waitMs));
  }
}
