import { type ChildPath, type VaultRef } from '../../shared/arm/resource-id.ts';
import { DomainError } from '../../shared/fault.ts';
import { acceptedResponse } from '../../shared/job/accepted.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { ensureJob } from '../../shared/job/job-store.ts';
import { type JobStart } from '../../shared/job/job.ts';
import { type ScenarioName, scenarioOf } from '../../shared/job/scenario.ts';
import { type Call } from './http-edge.ts';
import { services } from '../services.ts';

/** What a job is started with. */
export interface NewJob {
  vault: VaultRef;
  /** Name given to {@link jobOrchestration}. */
  orchestration: string;
  scenario: ScenarioName;
  /** What it is about, as Site Recovery shows it: a machine's GUID and name, a policy's, a server's. */
  target: { id: string; name: string };
  /** The resource the operation was called on; for an action, the one it hangs off. */
  resource: ChildPath;
  /** affectedObjectDetails, where there are any. */
  affected?: Record<string, string>;
  /** The orchestration's input, of its schema. Lies in the history in the clear: no secrets. */
  input: unknown;
  /** Where the id was decided before, so that a repeated request starts no second job. Else a new one is made. */
  jobId?: string;
}

/**
 * Starts a job and answers the 202 of ARM's long-running operations. Repeating it with the same job id starts nothing
 * and gives the same answer. The operation needs `durable: true`.
 */
export async function startJob(call: Call<string>, job: NewJob) {
  const startedAtMs = Date.now();
  const jobId = job.jobId ?? jobIdAt(startedAtMs);
  const start: JobStart = {
    jobId,
    scenario: job.scenario,
    target: job.target,
    resource: job.resource.map(([type, name]) => [type, name]),
    affected: job.affected ?? {},
    activityId: `${call.context.invocationId} ActivityId: ${jobId}`,
    startedAtMs,
    ...(scenarioOf(job.scenario).restartable === true && {
      rerun: { orchestration: job.orchestration, input: job.input },
    }),
  };
  await startOrchestration(call.durable(), {
    orchestration: job.orchestration,
    vault: job.vault,
    start,
    input: job.input,
  });
  // The orchestration writes this row too, in case we die here; the caller may poll before it has.
  await ensureJob(services().table, job.vault, start);
  return acceptedJob(call, { vault: job.vault, jobId, resource: job.resource, ageMs: 0 });
}

/** The 202 of a job that runs already. */
export function acceptedJob(
  call: Pick<Call<string>, 'origin' | 'apiVersion'>,
  job: { vault: VaultRef; jobId: string; resource: ChildPath; ageMs: number },
) {
  return acceptedResponse({ origin: call.origin, apiVersion: call.apiVersion, ...job });
}

/** What {@link jobOrchestration} takes from the history. */
export interface JobInput {
  vault: VaultRef;
  start: JobStart;
  input: unknown;
}

/** The part of Durable's client that starting a job needs. */
export interface Starter {
  getStatus(instanceId: string): Promise<unknown>;
  startNew(name: string, options: { instanceId: string; input: unknown }): Promise<string>;
}

/** Starts the orchestration of a job unless an instance of its id is there already, ended or not. */
export async function startOrchestration(
  client: Starter,
  job: JobInput & { orchestration: string },
): Promise<void> {
  const { orchestration, ...input } = job;
  const instanceId = job.start.jobId;
  if (await isStarted(client, instanceId)) return;
  try {
    await client.startNew(orchestration, { instanceId, input });
  } catch (error) {
    // Refused because the same request came twice at the same time: then all is well.
    if (await isStarted(client, instanceId)) return;
    throw new DomainError(
      {
        code: 'Unavailable',
        message: 'The job can not be started just now.',
        recommendedAction: 'Repeat the request in a few seconds.',
      },
      { cause: error },
    );
  }
}

async function isStarted(client: Starter, instanceId: string): Promise<boolean> {
  try {
    const status = await client.getStatus(instanceId);
    return status !== undefined && status !== null;
  } catch {
    // The client throws where there is no such instance; where the host is in trouble, starting says so.
    return false;
  }
}
