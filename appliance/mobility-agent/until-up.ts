import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../shared/fault.ts';
import { isRunning } from './run.ts';
import { findStatus, type AgentStatusFile } from './status.ts';

const limitMs = 60_000;
const lookEveryMs = 200;
/** A version that does not run within this time after it was started, or was started again, does not run. */
const startMs = 20_000;
/** A version that has run for so long runs, where its process server could not be reached before either. */
const steadyMs = 15_000;

/**
 * Waits until the agent of a data folder does its work: it runs, is of this version and reaches its process server, unless
 * the one before did not reach it either.
 *
 * @param before the status of the agent that ran before
 * @param isNew it was just enrolled: so its process server is there
 * @throws DomainError RemoteFailure
 */
export async function untilAgentIsUp(wanted: {
  dataFolder: string;
  version: string;
  before: AgentStatusFile | undefined;
  isNew: boolean;
}): Promise<void> {
  const { dataFolder, version, before, isNew } = wanted;
  const reachedIt = before?.connectedAtMs !== undefined && before.serverFault === undefined;
  const watch = new RunWatch(isNew || reachedIt);
  for (const endMs = Date.now() + limitMs; Date.now() < endMs; await delay(lookEveryMs)) {
    const verdict = watch.look(findRunning(wanted));
    if (verdict === 'up') return;
    if (verdict === 'down') break;
  }
  throw notUp(version, findStatus(dataFolder), dataFolder);
}

/** Watches an agent after its start. */
class RunWatch {
  readonly #mustConnect: boolean;
  #processId: number | undefined;
  #sinceMs = Date.now();

  constructor(mustConnect: boolean) {
    this.#mustConnect = mustConnect;
  }

  look(status: AgentStatusFile | undefined): 'up' | 'down' | 'unknown' {
    // One that ends and is started again and again is another process each time.
    if (status?.processId !== this.#processId) {
      this.#processId = status?.processId;
      this.#sinceMs = Date.now();
    }
    const ageMs = Date.now() - this.#sinceMs;
    if (status === undefined) return ageMs > startMs ? 'down' : 'unknown';
    if (status.connectedAtMs !== undefined) return 'up';
    return !this.#mustConnect && ageMs > steadyMs ? 'up' : 'unknown';
  }
}

/** The status of the agent that runs now, if it is the wanted one. */
function findRunning({
  dataFolder,
  version,
  before,
}: {
  dataFolder: string;
  version: string;
  before: AgentStatusFile | undefined;
}): AgentStatusFile | undefined {
  const status = findStatus(dataFolder);
  if (status === undefined || status.processId === before?.processId || status.version !== version)
    return undefined;
  return isRunning(dataFolder) ? status : undefined;
}

function notUp(version: string, status: AgentStatusFile | undefined, dataFolder: string): DomainError {
  const found =
    status?.version === version && isRunning(dataFolder)
      ? `it runs, but does not reach its process server ${status.server}. ${status.serverFault?.message ?? ''}`.trim()
      : 'it does not stay running.';
  return new DomainError({
    code: 'RemoteFailure',
    message: found,
    target: dataFolder,
  });
}
