import { type VaultRef } from '../arm/resource-id.ts';
import { findFault, type Job } from '../job/job.ts';
import { scenarioOf } from '../job/scenario.ts';
import { type Table } from '../store/table.ts';
import { uuidV5 } from '../uuid.ts';
import { recordEvent } from './event-store.ts';

/** Records that a job failed; of any other job, and a second time, nothing. */
export async function recordJobFailure(table: Table, vault: VaultRef, job: Job): Promise<void> {
  if (job.state !== 'Failed' || job.endedAtMs === undefined) return;
  const { friendlyName, targetInstanceType } = scenarioOf(job.scenario);
  const fault = findFault(job);
  const fabricName = job.resource.find(([type]) => type === 'replicationFabrics')?.[1];
  await recordEvent(table, vault, {
    eventId: uuidV5(job.jobId, 'job-failure'),
    atMs: job.endedAtMs,
    code: 'JobFailed',
    type: 'JobFailure',
    severity: 'Critical',
    description: `The job '${friendlyName}' failed.${fault === undefined ? '' : ` ${fault.message}`}`.slice(
      0,
      4_000,
    ),
    affected: { id: job.target.id, name: job.target.name },
    ...(fabricName !== undefined && {
      fabric: { name: fabricName, serverName: job.affected['primaryVmmName'] ?? fabricName },
    }),
    healthErrors: [],
    job: { jobId: job.jobId, friendlyName, objectType: targetInstanceType },
  });
}
