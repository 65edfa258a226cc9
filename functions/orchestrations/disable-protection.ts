/** The Disable replication job: the appliance lets go of the item, then its data and every trace of it are deleted. */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { askAppliance } from './ask-appliance.ts';
import { stopReplication } from './enable-protection.ts';
import {
  ItemHandleSchema,
  forgetItem,
  itemInput,
  moveItem,
  requireHold,
} from '../activities/protected-item.ts';
import { type JobRun, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const disableProtection = 'disableProtection';

export const DisableProtectionInput = z.object({
  item: ItemHandleSchema,
  /** Purge: the data goes even when the appliance does not answer. */
  force: z.boolean(),
  /** How long the appliance may take. */
  waitMinutes: z.number().positive(),
});
type DisableProtectionInput = z.infer<typeof DisableProtectionInput>;

jobOrchestration(disableProtection, DisableProtectionInput, {
  *run(job, input) {
    const { context } = job;
    const item = itemInput(job, input.item);
    job.undo.push(() => moveItem(context, { ...item, transition: { to: 'left' } }));
    yield* runTask(job, 'DisableProtectionPrerequisitesCheck', () => requireHold(context, item));
    yield* runTask(job, 'DisableProtection', function* () {
      yield* input.force ? stopReplication(job, input.item) : requireStop(job, input);
      yield* moveItem(context, { ...item, transition: { to: 'disabling' } });
    });
    yield* runTask(job, 'CleanupReplication', () => forgetItem(context, item));
  },
});

function* requireStop(job: JobRun, input: DisableProtectionInput): Generator<Task, void, unknown> {
  yield* askAppliance(job.context, {
    vault: job.vault,
    applianceId: input.item.applianceId,
    step: 'stopReplication',
    timeoutMinutes: input.waitMinutes,
    body: { kind: 'stopReplication', protectedItemId: input.item.protectedItemId },
  });
}
