/** Jobs that change and delete a policy, and that remove its association. */
import { z } from 'zod';
import { dropMapping, MappingRemoval } from '../activities/mapping.ts';
import {
  checkPolicyChange,
  deletePolicyRow,
  PolicyChangeInput,
  storePolicyChange,
} from '../activities/policy.ts';
import { sendSchedules } from '../activities/send-schedules.ts';
import { jobOrchestration, runTask } from './run-job.ts';

/** Names of the orchestrations. */
export const modifyPolicy = 'modifyPolicy';
export const removePolicy = 'removePolicy';
export const dissociatePolicy = 'dissociatePolicy';

export const ModifyPolicyInput = PolicyChangeInput;
export const RemovePolicyInput = z.object({ name: z.string() });
export const DissociatePolicyInput = MappingRemoval;

jobOrchestration(modifyPolicy, ModifyPolicyInput, {
  *run(job, input) {
    const { context, vault, jobId } = job;
    const wanted = { ...input, vault };
    yield* runTask(job, 'ModifyProtectionProfilePreflightsCheckTask', () =>
      checkPolicyChange(context, wanted),
    );
    yield* runTask(job, 'ModifyProtectionProfileTask', function* () {
      yield* storePolicyChange(context, wanted);
      const issuedAtMs = context.df.currentUtcDateTime.getTime();
      let continuation: string | undefined;
      do {
        const told = yield* sendSchedules(context, {
          vault,
          policyName: input.name,
          jobId,
          issuedAtMs,
          continuation,
        });
        ({ continuation } = told);
      } while (continuation !== undefined);
    });
  },
});

jobOrchestration(removePolicy, RemovePolicyInput, {
  *run(job, { name }) {
    yield* runTask(job, 'RemoveProtectionProfileTask', () =>
      deletePolicyRow(job.context, { vault: job.vault, name }),
    );
  },
});

jobOrchestration(dissociatePolicy, DissociatePolicyInput, {
  *run(job, input) {
    yield* runTask(job, 'DissociateProtectionProfileTask', () =>
      dropMapping(job.context, { ...input, vault: job.vault }),
    );
  },
});
