/** The Create recovery point job: a point now, outside the policy's schedule. */
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { askAppliance } from './ask-appliance.ts';
import { ItemHandleSchema, itemInput } from '../activities/protected-item.ts';
import { recordPoint } from '../activities/recovery-point.ts';
import { jobOrchestration, noteJob, runTask } from './run-job.ts';

/** Orchestration's name. */
export const createRecoveryPoint = 'createRecoveryPoint';

export const CreateRecoveryPointInput = z.object({
  item: ItemHandleSchema,
  /** How long the appliance may take. */
  waitMinutes: z.number().positive(),
});

/** Where the job notes the point's name. */
export const pointNameKey = 'recoveryPointName';

jobOrchestration(createRecoveryPoint, CreateRecoveryPointInput, {
  *run(job, input) {
    yield* runTask(job, 'VmCreateRecoveryPoint', function* () {
      const { pointSequence } = yield* askAppliance(job.context, {
        vault: job.vault,
        applianceId: input.item.applianceId,
        step: 'createRecoveryPoint',
        timeoutMinutes: input.waitMinutes,
        cancelled: job.cancelled,
        body: { kind: 'createRecoveryPoint', protectedItemId: input.item.protectedItemId },
      });
      if (pointSequence === undefined) {
        throw new DomainError({
          code: 'RemoteFailure',
          message: 'The appliance made a recovery point and did not say which.',
          recommendedAction: 'Update the appliance to the version of this vault.',
        });
      }
      const { name } = yield* recordPoint(job.context, {
        ...itemInput(job, input.item),
        sequence: pointSequence,
      });
      yield* noteJob(job, { [pointNameKey]: name });
    });
  },
});
