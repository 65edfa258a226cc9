import { z } from 'zod';
import { exportJobs } from '../../shared/job/export-jobs.ts';
import { readJobQuery } from '../../shared/job/find-jobs.ts';
import { activity } from '../edge/activity.ts';
import { services } from '../services.ts';
import { VaultRefSchema } from './vault-ref.ts';

/** Which jobs, and in which form. */
export const JobExportInput = z.object({
  query: z.record(z.string(), z.string()),
  form: z.enum(['Json', 'Xml']),
});

export const writeJobExport = activity(
  'writeJobExport',
  {
    input: JobExportInput.extend({ vault: VaultRefSchema, jobId: z.uuid() }),
    output: z.object({ jobs: z.number() }),
  },
  ({ query, ...ref }) => exportJobs(services(), ref, readJobQuery(query)),
);
