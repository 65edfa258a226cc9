import { type ChildPath, type VaultRef, childIdOf } from '../arm/resource-id.ts';

/** An operation that was taken up and goes on as a job. */
export interface AcceptedOperation {
  /** Scheme and host the caller used; every address is built from it. */
  origin: string;
  apiVersion: string;
  vault: VaultRef;
  /** The resource the operation was called on; for an action, the one it hangs off. Empty: the vault itself. */
  resource: ChildPath;
  jobId: string;
  /** How long the job has run. */
  ageMs: number;
}

/** The 202 with which the real service takes up a long-running operation: no body, everything in headers. */
export function acceptedResponse(operation: AcceptedOperation) {
  const query = `?api-version=${encodeURIComponent(operation.apiVersion)}`;
  const { origin, vault, resource, jobId } = operation;
  const pathOf = (path: ChildPath): string => encodePath(childIdOf(vault, path));
  return {
    status: 202,
    headers: {
      'azure-asyncoperation': `${origin}${pathOf([['replicationOperationStatus', jobId]])}${query}`,
      location: `${origin}${pathOf([...resource, ['operationresults', jobId]])}${query}`,
      'retry-after': String(retryAfterSeconds(operation.ageMs)),
      'x-ms-request-id': pathOf([['replicationJobs', jobId]]),
    },
  };
}

/** Young jobs may end any moment; old ones wait for a site, so asking often tells nothing. */
export function retryAfterSeconds(ageMs: number): number {
  if (ageMs < 10_000) return 1;
  if (ageMs < 60_000) return 2;
  return ageMs < 600_000 ? 5 : 15;
}

function encodePath(id: string): string {
  return id.split('/').map(encodeURIComponent).join('/');
}
