import { z } from 'zod';
import { Mapping } from '../../shared/policy/mapping.ts';
import { checkMapping, storeMapping } from '../activities/mapping.ts';
import { jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const associatePolicy = 'associatePolicy';

export const AssociatePolicyInput = z.object({ mapping: Mapping });

jobOrchestration(associatePolicy, AssociatePolicyInput, {
  *run(job, input) {
    const wanted = { ...input, vault: job.vault };
    yield* runTask(job, 'AssociateProtectionProfilePreflightsCheckTask', () =>
      checkMapping(job.context, wanted),
    );
    yield* runTask(job, 'AssociateProtectionProfileTask', () => storeMapping(job.context, wanted));
  },
});
