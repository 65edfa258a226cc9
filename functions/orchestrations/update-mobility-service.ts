/** The Update Mobility Service job: the configuration server pushes its version of the agent to a protected machine. */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { ItemHandleSchema, itemInput, moveItem, takeItem } from '../activities/protected-item.ts';
import { findPushTarget } from '../activities/push-target.ts';
import { askAppliance } from './ask-appliance.ts';
import { jobOrchestration, runTask, type JobRun } from './run-job.ts';

/** Orchestration's name. */
export const updateMobilityService = 'updateMobilityService';

export const UpdateMobilityServiceInput = z.object({
  item: ItemHandleSchema,
  machineName: z.string(),
  /** In place of the account that was chosen when replication was enabled. */
  runAsAccountId: z.string().optional(),
  /** How long the appliance may take. */
  waitMinutes: z.number().positive(),
});
type UpdateMobilityServiceInput = z.infer<typeof UpdateMobilityServiceInput>;

jobOrchestration(updateMobilityService, UpdateMobilityServiceInput, {
  *run(job, input) {
    const { context } = job;
    const item = itemInput(job, input.item);
    const startedAtMs = context.df.currentUtcDateTime.getTime();
    job.undo.push(() => moveItem(context, { ...item, transition: { to: 'left' } }));
    yield* runTask(job, 'UpdateMobilityService', function* () {
      yield* takeItem(context, { ...item, scenario: 'UpdateMobilityService', startedAtMs });
      const version = yield* pushUpdate(job, input);
      yield* moveItem(context, { ...item, transition: { to: 'agentUpdated', version } });
      yield* moveItem(context, { ...item, transition: { to: 'left' } });
    });
  },
});

function* pushUpdate(
  job: JobRun,
  input: UpdateMobilityServiceInput,
): Generator<Task, string | undefined, unknown> {
  const { item, machineName, runAsAccountId } = input;
  const target = yield* findPushTarget(job.context, { ...itemInput(job, item), accountId: runAsAccountId });
  if (target.push === undefined) throw noAccount(machineName);
  const { agentVersion } = yield* askAppliance(job.context, {
    vault: job.vault,
    applianceId: item.applianceId,
    step: 'updateAgent',
    timeoutMinutes: input.waitMinutes,
    cancelled: job.cancelled,
    body: {
      kind: 'updateAgent',
      protectedItemId: item.protectedItemId,
      biosUuid: target.biosUuid,
      machineName,
      push: target.push,
    },
  });
  return agentVersion;
}

function noAccount(machineName: string): DomainError {
  return new DomainError({
    code: 'InvalidRequest',
    message: `There is no account with which '${machineName}' could be entered.`,
    target: 'properties.runAsAccountId',
    recommendedAction:
      'Send the id of an account of the configuration server in runAsAccountId, or upgrade the agent on the machine by hand.',
  });
}
