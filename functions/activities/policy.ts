import { z } from 'zod';
import { Policy, planPolicy } from '../../shared/policy/policy.ts';
import { createPolicy, findPolicy } from '../../shared/policy/policy-store.ts';
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
