import { z } from 'zod';
import { deleteUnusedPolicy } from '../../shared/policy/policy-use.ts';
import { UpdatePolicyBody } from '../../shared/wire/arm-policy.ts';
import { Policy, changedPolicy, planPolicy } from '../../shared/policy/policy.ts';
import { changePolicy, createPolicy, findPolicy, getPolicy } from '../../shared/policy/policy-store.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

const PolicyInput = z.object({ policy: Policy, twinId: z.uuid(), vault: VaultRefSchema });

/** @throws what stands against the policy now. */
export const checkPolicy = activity(
  'checkPolicy',
  { input: PolicyInput, output: z.void() },
  async ({ vault, policy }) => {
    planPolicy(policy, await findPolicy(services().table, vault, policy.name));
  },
);

export const storePolicy = activity(
  'storePolicy',
  { input: PolicyInput, output: z.void() },
  async ({ vault, ...wanted }) => {
    await createPolicy(services().table, vault, wanted);
  },
);

/** A change of a policy. */
export const PolicyChangeInput = z.object({
  name: z.string(),
  change: UpdatePolicyBody.shape.properties.shape.replicationProviderSettings,
});
const ChangeInput = PolicyChangeInput.extend({ vault: VaultRefSchema });

/** @throws what stands against the change now. */
export const checkPolicyChange = activity(
  'checkPolicyChange',
  { input: ChangeInput, output: z.void() },
  async ({ vault, name, change }) => {
    changedPolicy(await getPolicy(services().table, vault, name), change);
  },
);

export const storePolicyChange = activity(
  'storePolicyChange',
  { input: ChangeInput, output: z.void() },
  async ({ vault, ...wanted }) => {
    await changePolicy(services().table, vault, wanted);
  },
);

export const deletePolicyRow = activity(
  'deletePolicyRow',
  { input: z.object({ vault: VaultRefSchema, name: z.string() }), output: z.void() },
  async ({ vault, name }) => {
    await deleteUnusedPolicy(services().table, vault, name);
  },
);
