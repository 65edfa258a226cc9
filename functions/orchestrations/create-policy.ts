import { z } from 'zod';
import { Policy } from '../../shared/policy/policy.ts';
import { createPolicy as writePolicy, findPolicy } from '../../shared/policy/policy-store.ts';
import { planPolicy } from '../../shared/policy/policy.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const createPolicy = 'createPolicy';

export const CreatePolicyInput = z.object({
  policy: Policy,
  /** The failback twin's GUID. */
  twinId: z.uuid(),
});
const Input = CreatePolicyInput.extend({ vault: VaultRefSchema });

const checkPolicy = activity('checkPolicy', { input: Input, output: z.void() }, async ({ vault, policy }) => {
  planPolicy(policy, await findPolicy(services().table, vault, policy.name));
});

const storePolicy = activity(
  'storePolicy',
  { input: Input, output: z.void() },
  async ({ vault, ...wanted }) => {
    await writePolicy(services().table, vault, wanted);
  },
);

jobOrchestration(createPolicy, CreatePolicyInput, {
  *run(job, input) {
    const wanted = { ...input, vault: job.vault };
    yield* runTask(job, 'AddProtectionProfilePreflightsCheckTask', () => checkPolicy(job.context, wanted));
    yield* runTask(job, 'AddProtectionProfileTask', () => storePolicy(job.context, wanted));
  },
});
