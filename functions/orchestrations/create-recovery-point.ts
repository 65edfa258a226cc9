/** The Create recovery point job: a point now, outside the policy's schedule. */
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import { recoveryPointName } from '../../shared/recovery/recovery-point.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { askAppliance } from './ask-appliance.ts';
import { ItemHandleSchema, ItemInput, itemInput } from './item-activities.ts';
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

/** Reads the replica log up to the point, whether or not its check-in has come. */
const recordPoint = activity(
  'recordPoint',
  { input: ItemInput.extend({ sequence: z.number() }), output: z.object({ name: z.string() }) },
  async ({ vault, item, sequence }) => {
    const { protectedItemId } = item;
    const anchor = await advanceRecoveryPoints(services(), { vault, protectedItemId });
    if (anchor !== undefined && anchor.sequence >= sequence) {
      return { name: recoveryPointName(protectedItemId, sequence) };
    }
    throw new DomainError({
      code: 'ReplicaDamaged',
      message: `The replica log of '${item.itemName}' does not lead to the new point ${sequence}.`,
      ...(anchor?.defect !== undefined && { target: anchor.defect.blob }),
      possibleCauses: anchor?.defect?.detail ?? 'The manifest is not in the container.',
      recommendedAction: 'Disable replication and enable it again; the points before stay good until then.',
    });
  },
);

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
