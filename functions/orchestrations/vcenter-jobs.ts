/** Jobs that change or delete a vCenter server; fabric-jobs.ts has the one that adds it. */
import { z } from 'zod';
import { VCenter } from '../../shared/fabric/vcenter.ts';
import { dropVCenter, refuseProtecting } from '../activities/delete-vcenter.ts';
import { saveVCenter } from '../activities/vcenter.ts';
import { askAppliance } from './ask-appliance.ts';
import { type JobRun, jobOrchestration, runTask } from './run-job.ts';

/** Names of the orchestrations. */
export const updateVCenter = 'updateVCenter';
export const deleteVCenter = 'deleteVCenter';

/** A large vCenter takes minutes to list. */
const discoveryMinutes = 30;
const removalMinutes = 5;

export const UpdateVCenterInput = z.object({
  applianceId: z.uuid(),
  fabricName: z.string(),
  before: VCenter,
  after: VCenter,
});
type UpdateVCenterInput = z.infer<typeof UpdateVCenterInput>;

export const DeleteVCenterInput = z.object({
  applianceId: z.uuid(),
  fabricName: z.string(),
  vCenterName: z.string(),
});

jobOrchestration(updateVCenter, UpdateVCenterInput, {
  *run(job, input) {
    yield* runTask(job, 'UpdateVCenterTask', function* () {
      yield* connect(job, input, {
        vCenter: input.after,
        step: 'addVCenter',
        timeoutMinutes: discoveryMinutes,
      });
      const { fabricName, after } = input;
      yield* saveVCenter(job.context, { vault: job.vault, fabricName, vCenter: after });
    });
  },
  /** The appliance may have taken over what then did not work. */
  *undo(job, input) {
    yield* connect(job, input, {
      vCenter: input.before,
      step: 'restoreVCenter',
      timeoutMinutes: removalMinutes,
    });
  },
});

jobOrchestration(deleteVCenter, DeleteVCenterInput, {
  *run(job, input) {
    const { context, vault } = job;
    yield* runTask(job, 'DeleteVCenterTask', function* () {
      yield* refuseProtecting(context, { vault, ...input });
      yield* askAppliance(context, {
        vault,
        applianceId: input.applianceId,
        step: 'removeVCenter',
        timeoutMinutes: removalMinutes,
        body: { kind: 'removeVCenter', vCenterName: input.vCenterName },
      });
      yield* dropVCenter(context, { vault, ...input });
    });
  },
});

function* connect(
  { context, vault }: JobRun,
  { applianceId }: UpdateVCenterInput,
  { vCenter, ...question }: { vCenter: VCenter; step: string; timeoutMinutes: number },
) {
  yield* askAppliance(context, {
    vault,
    applianceId,
    ...question,
    body: {
      kind: 'addVCenter',
      vCenterName: vCenter.name,
      address: vCenter.address,
      port: vCenter.port,
      accountId: vCenter.accountId,
    },
  });
}
