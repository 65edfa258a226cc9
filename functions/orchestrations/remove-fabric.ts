/** The Remove server job: a configuration server leaves its vault. */
import { z } from 'zod';
import { removeAppliance } from '../activities/remove-appliance.ts';
import { jobOrchestration, runTask } from './run-job.ts';

/** Orchestration's name. */
export const removeFabric = 'removeFabric';

export const RemoveFabricInput = z.object({
  applianceId: z.uuid(),
  /** Purge: its vCenter servers and associations go with it. */
  force: z.boolean(),
});

jobOrchestration(removeFabric, RemoveFabricInput, {
  *run(job, input) {
    yield* runTask(job, 'RemoveFabricTask', () =>
      removeAppliance(job.context, { vault: job.vault, ...input }),
    );
  },
});
