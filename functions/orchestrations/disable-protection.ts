/** The Disable replication job: the appliance lets go of the item, then its data and every trace of it are deleted. */
import { type Task } from 'durable-functions';
import { z } from 'zod';
import { itemBusy } from '../../shared/protection/hold-item.ts';
import { getItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { askAppliance } from './ask-appliance.ts';
import { stopReplication } from './enable-protection.ts';
import { ItemHandleSchema, ItemInput, forgetItem, itemInput, moveItem } from './item-activities.ts';
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

/** The request took hold of the item for this job. A purge may have taken it away since. */
const requireHold = activity(
  'requireHold',
  { input: ItemInput, output: z.void() },
  async ({ vault, item, jobId }) => {
    const row = await getItem(services().table, vault, item);
    if (row.protectedItemId !== item.protectedItemId) throw itemNotFound(item);
    if (row.currentJob?.jobId !== jobId) throw itemBusy(row);
  },
);

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
