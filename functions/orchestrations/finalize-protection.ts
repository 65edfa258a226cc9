/** The Finalize protection job: runs once for an item, when its first recovery point is in the replica log. */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { ItemHandleSchema, isEnabled, itemInput, moveItem } from '../activities/protected-item.ts';
import { requirePoint } from '../activities/recovery-point.ts';
import { type JobRun, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const finalizeProtection = 'finalizeProtection';

export const FinalizeProtectionInput = z.object({ item: ItemHandleSchema });

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
