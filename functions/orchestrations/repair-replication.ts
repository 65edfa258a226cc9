/** The Resynchronize the virtual machine job: ends when the agent compares; how far it is the item tells. */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { DomainError, type Fault } from '../../shared/fault.ts';
import { ItemHandleSchema, itemInput, moveItem, takeItem } from '../activities/protected-item.ts';
import { checkRepair, lookForResync } from '../activities/repair-replication.ts';
import { askAppliance } from './ask-appliance.ts';
import { JobCancelled, type JobRun, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const repairVmReplication = 'repairVmReplication';

export const RepairReplicationInput = z.object({
  item: ItemHandleSchema,
  /** How long the appliance and the mobility agent may each take. */
  waitMinutes: z.number().positive(),
});
type RepairReplicationInput = z.infer<typeof RepairReplicationInput>;

jobOrchestration(repairVmReplication, RepairReplicationInput, {
  *run(job, input) {
    const { context } = job;
    const item = itemInput(job, input.item);
    const startedAtMs = context.df.currentUtcDateTime.getTime();
    job.undo.push(() => moveItem(context, { ...item, transition: { to: 'left' } }));
    yield* runTask(job, 'RepairReplicationPrerequisitesCheck', function* () {
      yield* takeItem(context, { ...item, scenario: 'RepairVMReplication', startedAtMs });
      yield* checkRepair(context, item);
    });
    yield* runTask(job, 'RepairReplication', function* () {
      const { resyncRequest } = yield* askAppliance(context, {
        vault: job.vault,
        applianceId: input.item.applianceId,
        step: 'resynchronize',
        timeoutMinutes: input.waitMinutes,
        cancelled: job.cancelled,
        body: { kind: 'resynchronize', protectedItemId: input.item.protectedItemId },
      });
      if (resyncRequest === undefined) {
        throw new DomainError({
          code: 'RemoteFailure',
          message: 'The appliance did not say which of its resynchronizations this is.',
          recommendedAction: 'Update the appliance to the version of this vault.',
        });
      }
      yield* waitForBegin(job, input, resyncRequest);
    });
    yield* runTask(job, 'UpdateDraState', () => moveItem(context, { ...item, transition: { to: 'left' } }));
  },
});

/** Looks every second at first, then less often. */
function* waitForBegin(
  job: JobRun,
  input: RepairReplicationInput,
  request: number,
): Generator<Task, void, unknown> {
  const { context } = job;
  const startedAtMs = context.df.currentUtcDateTime.getTime();
  const deadlineMs = startedAtMs + input.waitMinutes * 60_000;
  for (;;) {
    const { begun, fault } = yield* lookForResync(context, { ...itemInput(job, input.item), request });
    if (begun) return;
    const nowMs = context.df.currentUtcDateTime.getTime();
    if (nowMs >= deadlineMs) throw notBegun(input, fault);
    if (job.cancelled.isCompleted) throw new JobCancelled();
    const pauseMs = Math.min(15_000, Math.max(1_000, (nowMs - startedAtMs) / 4));
    const timer = context.df.createTimer(new Date(Math.min(nowMs + pauseMs, deadlineMs)));
    const first = yield context.df.Task.any([timer, job.cancelled]);
    if (first !== timer) timer.cancel();
  }
}

function notBegun({ waitMinutes }: RepairReplicationInput, fault: Fault | undefined): DomainError {
  return new DomainError({
    code: 'RemoteFailure',
    message:
      `The resynchronization is asked for and did not begin within ${waitMinutes} minutes. ${fault?.message ?? ''}`.trim(),
    possibleCauses:
      fault?.possibleCauses ?? 'The mobility agent is stopped, or can not reach the process server.',
    recommendedAction:
      fault?.recommendedAction ?? 'Start the mobility agent: the resynchronization begins by itself then.',
  });
}
