import { z } from 'zod';
import { Policy } from '../../shared/policy/policy.ts';
import { checkPolicy, storePolicy } from '../activities/policy.ts';
import { jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const createPolicy = 'createPolicy';

export const CreatePolicyInput = z.object({
  policy: Policy,
  /** The failback twin's GUID. */
  twinId: z.uuid(),
});

jobOrchestration(createPolicy, CreatePolicyInput, {
  *run(job, input) {
    const wanted = { ...input, vault: job.vault };
    yield* runTask(job, 'AddProtectionProfilePreflightsCheckTask', () => checkPolicy(job.context, wanted));
    yield* runTask(job, 'AddProtectionProfileTask', () => storePolicy(job.context, wanted));
  },
});
