import { getJob } from '../../shared/job/job-store.ts';
import { findFault, isOver, type Job } from '../../shared/job/job.ts';
import { DomainError } from '../../shared/fault.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { type PathParameters, type vaultRoute } from '../edge/route.ts';
import { acceptedJob } from '../edge/start-job.ts';
import { services } from '../services.ts';

type VaultNames = PathParameters<typeof vaultRoute>;

/**
 * Registers `{route}/operationresults/{jobId}`: where the Location of a 202 leads. 202 while the job runs; then the
 * resource, or 204 where the operation leaves none; the job's error when it failed.
 *
 * `find` answers the resource as its GET does; undefined (or a ResourceNotFound) when there is none any more.
 */
export function operationResults<Route extends string>(
  name: string,
  route: Route,
  find?: (params: PathParameters<Route> & VaultNames & { jobId: string }) => Promise<unknown>,
): void {
  httpOperation(name, { method: 'GET', route: `${route}/operationresults/{jobId}` }, async (call) => {
    const params = call.params as PathParameters<Route> & VaultNames & { jobId: string };
    const vault = vaultOf(params);
    const job = await getJob(services().table, { vault, jobId: params.jobId });
    if (!isOver(job.state)) return stillRuns(call, vault, job);
    const fault = findFault(job);
    if (fault !== undefined && job.state === 'Failed') throw new DomainError(fault);
    const resource = find === undefined ? undefined : await findOrNone(() => find(params));
    return resource === undefined ? { status: 204 } : { status: 200, body: resource };
  });
}

function stillRuns(call: Call<string>, vault: ReturnType<typeof vaultOf>, job: Job) {
  const ageMs = Date.now() - job.startedAtMs;
  return acceptedJob(call, { vault, jobId: job.jobId, resource: job.resource, ageMs });
}

async function findOrNone(find: () => Promise<unknown>): Promise<unknown> {
  try {
    return await find();
  } catch (error) {
    if (error instanceof DomainError && error.fault.code === 'ResourceNotFound') return undefined;
    throw error;
  }
}
