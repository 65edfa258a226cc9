/** Jobs, and how the operation that started one stands. */
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { DomainError } from '../../shared/fault.ts';
import { jobAnswer, jobListAnswer, operationStatusAnswer } from '../../shared/job/job-answer.ts';
import { changeJob, getJob } from '../../shared/job/job-store.ts';
import { retryAfterSeconds } from '../../shared/job/accepted.ts';
import { allowedActions, isOver, type Job, requestCancel, restartAs } from '../../shared/job/job.ts';
import { scenarioOf } from '../../shared/job/scenario.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { vaultRoute } from '../edge/route.ts';
import { parseFilter } from '../edge/filter.ts';
import { findJobs, jobQueryFields, readJobQuery } from '../../shared/job/find-jobs.ts';
import { jobExportOf } from './job-exports.ts';
import { cancelEvent } from '../orchestrations/run-job.ts';
import { acceptedJob, startJob } from '../edge/start-job.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { ResumeJobBody } from '../../shared/wire/arm-job.ts';
import { services } from '../services.ts';
import { operationResults } from './operation-results.ts';
import { requireVault } from '../../shared/vault/vault.ts';

const jobRoute = `${vaultRoute}/replicationJobs/{jobId}` as const;

httpOperation('listJobs', { method: 'GET', route: `${vaultRoute}/replicationJobs` }, async (call) => {
  const { table } = services();
  const vault = await requireVault(services().table, vaultOf(call.params));
  const query = Object.fromEntries(parseFilter(call.query.get('$filter'), jobQueryFields));
  const { jobs, continuation } = await findJobs(table, vault, {
    query: readJobQuery(query),
    continuation: skipTokenOf(call.query),
  });
  return {
    status: 200,
    body: {
      value: jobs.map((job) => jobListAnswer(vault, job)),
      nextLink: nextLinkOf(call.url, continuation),
    },
  };
});

httpOperation('getJob', { method: 'GET', route: jobRoute }, async (call) => {
  const vault = vaultOf(call.params);
  const job = await getJob(services().table, { vault, jobId: call.params.jobId });
  return { status: 200, body: await answerOf(vault, job) };
});

httpOperation('cancelJob', { method: 'POST', route: `${jobRoute}/cancel`, durable: true }, async (call) => {
  const { table } = services();
  const ref = { vault: vaultOf(call.params), jobId: call.params.jobId };
  const job = await changeJob(table, ref, (job) => {
    if (job.cancelRequestedAtMs === undefined) checkCancellable(job);
    return requestCancel(job, Date.now());
  });
  if (!isOver(job.state)) await call.durable().raiseEvent(job.jobId, cancelEvent, {});
  return cancelAccepted(call, ref.vault, job);
});

/** Cancelling is done when the job has ended, however it ended; so it has no status of its own to fail by. */
httpOperation(
  'getJobCancelResults',
  { method: 'GET', route: `${jobRoute}/operationresults/{operationId}` },
  async (call) => {
    const vault = vaultOf(call.params);
    const job = await getJob(services().table, { vault, jobId: call.params.jobId });
    return isOver(job.state)
      ? { status: 200, body: await answerOf(vault, job) }
      : cancelAccepted(call, vault, job);
  },
);

httpOperation(
  'getOperationStatus',
  { method: 'GET', route: `${vaultRoute}/replicationOperationStatus/{jobId}` },
  async (call) => {
    const job = await getJob(services().table, { vault: vaultOf(call.params), jobId: call.params.jobId });
    const running = !isOver(job.state);
    return {
      status: 200,
      ...(running && {
        headers: { 'retry-after': String(retryAfterSeconds(Date.now() - job.startedAtMs)) },
      }),
      body: operationStatusAnswer(job),
    };
  },
);

operationResults('getVaultOperationResults', vaultRoute);

/** The job as it is; a finished export with a fresh token to read it by. */
async function answerOf(vault: VaultRef, job: Job) {
  return jobAnswer(vault, job, await jobExportOf(vault, job));
}

httpOperation('restartJob', { method: 'POST', route: `${jobRoute}/restart`, durable: true }, async (call) => {
  const { table } = services();
  const ref = { vault: vaultOf(call.params), jobId: call.params.jobId };
  const jobId = jobIdAt(Date.now());
  const { restartedAs, rerun, ...failed } = await changeJob(table, ref, (job) => restartAs(job, jobId));
  if (restartedAs === undefined || rerun === undefined) throw notRestartable(failed);
  await startJob(call, {
    ...rerun,
    vault: ref.vault,
    jobId: restartedAs,
    scenario: failed.scenario,
    target: failed.target,
    resource: failed.resource,
    affected: failed.affected,
  });
  const resource = [['replicationJobs', restartedAs]] as const;
  return acceptedJob(call, { vault: ref.vault, jobId: restartedAs, resource, ageMs: 0 });
});

/** No job here ever waits for a person, so there is none that could go on. */
httpOperation('resumeJob', { method: 'POST', route: `${jobRoute}/resume` }, async (call) => {
  await call.json(ResumeJobBody);
  const job = await getJob(services().table, { vault: vaultOf(call.params), jobId: call.params.jobId });
  throw new DomainError({
    code: 'Conflict',
    message: `The job '${job.jobId}' is ${job.state}: it does not wait to be resumed.`,
    recommendedAction: "A job's allowedActions say what is possible.",
  });
});

function notRestartable(job: Pick<Job, 'jobId' | 'state' | 'scenario'>): DomainError {
  return new DomainError({
    code: 'Conflict',
    message:
      job.state === 'Failed'
        ? `A job '${scenarioOf(job.scenario).friendlyName}' can not be restarted: what it had begun was undone.`
        : `Only a failed job can be restarted; '${job.jobId}' is ${job.state}.`,
    recommendedAction: 'Start the operation again that the job was for.',
  });
}

function cancelAccepted(call: Call<string>, vault: VaultRef, job: Job) {
  const resource = [['replicationJobs', job.jobId]] as const;
  const ageMs = Date.now() - (job.cancelRequestedAtMs ?? job.startedAtMs);
  const { status, headers } = acceptedJob(call, { vault, jobId: job.jobId, resource, ageMs });
  return { status, headers: { location: headers.location, 'retry-after': headers['retry-after'] } };
}

function checkCancellable(job: Job): void {
  if (allowedActions(job).includes('Cancel')) return;
  throw new DomainError({
    code: 'Conflict',
    message: isOver(job.state)
      ? `The job '${job.jobId}' has ended (${job.state}).`
      : `A job '${scenarioOf(job.scenario).friendlyName}' can not be cancelled.`,
    recommendedAction: "A job's allowedActions say what is possible.",
  });
}
