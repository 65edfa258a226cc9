import { z } from 'zod';
import { Mapping } from '../../shared/policy/mapping.ts';
import { createMapping, planMapping } from '../../shared/policy/mapping-store.ts';
import { getPolicy } from '../../shared/policy/policy-store.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema, jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const associatePolicy = 'associatePolicy';

export const AssociatePolicyInput = z.object({ mapping: Mapping });
const Input = AssociatePolicyInput.extend({ vault: VaultRefSchema });

const checkMapping = activity(
  'checkMapping',
  { input: Input, output: z.void() },
  async ({ vault, mapping }) => {
    const { table } = services();
    await getPolicy(table, vault, mapping.policyName);
    await planMapping(table, vault, mapping);
  },
);

const storeMapping = activity(
  'storeMapping',
  { input: Input, output: z.void() },
  async ({ vault, mapping }) => {
    await createMapping(services().table, vault, mapping);
  },
);

jobOrchestration(associatePolicy, AssociatePolicyInput, {
  *run(job, input) {
    const wanted = { ...input, vault: job.vault };
    yield* runTask(job, 'AssociateProtectionProfilePreflightsCheckTask', () =>
      checkMapping(job.context, wanted),
    );
    yield* runTask(job, 'AssociateProtectionProfileTask', () => storeMapping(job.context, wanted));
  },
});
