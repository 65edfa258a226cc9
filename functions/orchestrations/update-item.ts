/** The Update the virtual machine job: where and how a protected machine shall come up. */
import { z } from 'zod';
import { ItemHandleSchema, itemInput, moveItem, takeItem } from '../activities/protected-item.ts';
import { updateItem } from '../activities/update-item.ts';
import { UpdateProtectedItemBody } from '../../shared/wire/arm-protected-item.ts';
import { jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const updateVmProperties = 'updateVmProperties';

export const UpdateVmPropertiesInput = z.object({
  item: ItemHandleSchema,
  change: UpdateProtectedItemBody.shape.properties,
});

jobOrchestration(updateVmProperties, UpdateVmPropertiesInput, {
  *run(job, input) {
    const { context } = job;
    const item = itemInput(job, input.item);
    const startedAtMs = context.df.currentUtcDateTime.getTime();
    job.undo.push(() => moveItem(context, { ...item, transition: { to: 'left' } }));
    yield* runTask(job, 'UpdateVmProperties', function* () {
      yield* takeItem(context, { ...item, scenario: 'UpdateVmProperties', startedAtMs });
      yield* updateItem(context, { ...item, change: input.change });
      yield* moveItem(context, { ...item, transition: { to: 'left' } });
    });
  },
});
