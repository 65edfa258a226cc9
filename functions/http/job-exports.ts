import { type z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { signExport } from '../../shared/job/export-jobs.ts';
import { readJobQuery } from '../../shared/job/find-jobs.ts';
import { type JobExport, jobAnswer } from '../../shared/job/job-answer.ts';
import { getJob } from '../../shared/job/job-store.ts';
import { type Job } from '../../shared/job/job.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { ExportJobsBody } from '../../shared/wire/arm-job.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { vaultRoute } from '../edge/route.ts';
import { startJob } from '../edge/start-job.ts';
import { type ExportJobsInput, exportFormKey, exportJobs } from '../orchestrations/export-jobs.ts';
import { services } from '../services.ts';
import { operationResults } from './operation-results.ts';

const exportRoute = `${vaultRoute}/replicationJobs/export` as const;

httpOperation('postJobExport', { method: 'POST', route: exportRoute, durable: true }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const { jobOutputType: form, timezoneOffset: _, ...wanted } = await call.json(ExportJobsBody);
  readJobQuery(wanted);
  const query = Object.fromEntries(
    Object.entries(wanted).flatMap(([field, value]) => (value === undefined ? [] : [[field, value]])),
  );
  return startJob(call, {
    vault,
    orchestration: exportJobs,
    scenario: 'ExportJobs',
    target: { id: vault.vaultName, name: vault.vaultName },
    resource: [['replicationJobs', 'export']],
    input: { query, form } satisfies z.infer<typeof ExportJobsInput>,
  });
});

operationResults('getExportJobsResults', exportRoute, async (params) => {
  const vault = vaultOf(params);
  const job = await getJob(services().table, { vault, jobId: params.jobId });
  return jobAnswer(vault, job, await jobExportOf(vault, job));
});

/** Where a finished export of jobs lies; undefined for any other job. */
export async function jobExportOf(vault: VaultRef, job: Job): Promise<JobExport | undefined> {
  const form = job.affected[exportFormKey];
  if (job.scenario !== 'ExportJobs' || job.state !== 'Succeeded') return undefined;
  if (form !== 'Json' && form !== 'Xml') return undefined;
  return signExport(services().replicaStorage, { vault, jobId: job.jobId, form }, Date.now());
}
