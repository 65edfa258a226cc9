/** Getting a machine's mobility agent to be there, or to be of this version. */
import type { CommandBody, CommandResult } from '../../shared/wire/command.ts';
import type { AgentStatus } from '../../shared/wire/check-in.ts';
import type { ProcessServer } from '../process-server/contract.ts';
import { pushAgent } from '../push/push-agent.ts';
import { delay } from './back-off.ts';
import { getPassphrase } from './identity.ts';
import type { Store } from './store.ts';

/** What it is done with. */
export interface AgentParts {
  store: Store;
  processServer: Pick<ProcessServer, 'agents' | 'port' | 'prepare'>;
  /** Where the process server listens. */
  host: string;
  onProgress: (step: string, percent: number) => void;
}

type Prepare = Extract<CommandBody, { kind: 'prepareMachine' }>;
type Update = Extract<CommandBody, { kind: 'updateAgent' }>;
type Details = Pick<CommandResult, 'agentVersion' | 'osName'>;

/** An agent polls twice a minute. */
const awayAfterMs = 90_000;
/** How long an agent that is enrolled may take to be heard after the appliance started: then it is installed anew. */
const graceMs = 60_000;
const lookEveryMs = 500;

/**
 * Waits for the machine's agent; where none is in touch, and it may be, it is pushed to the machine first.
 *
 * @throws DomainError RemoteFailure; the signal's reason
 */
export async function prepareMachine(
  parts: AgentParts,
  body: Prepare,
  signal: AbortSignal,
): Promise<Details> {
  const { store, processServer, onProgress } = parts;
  const { machineName, biosUuid, push } = body;
  if (push !== undefined && !(await isInTouch(processServer, biosUuid, signal))) {
    const enrolAt = {
      host: reachableHost(parts.host),
      port: processServer.port,
      passphrase: getPassphrase(store),
    };
    await pushAgent(store, { machineName, biosUuid, target: push, enrolAt, onProgress }, signal);
    onProgress('Waiting for the Mobility Service to find its disks', 95);
  }
  const agent = await processServer.prepare(biosUuid, body.disks, signal);
  if (push !== undefined) onProgress(`The Mobility Service ${agent.version} is in touch`, 100);
  return { agentVersion: agent.version, osName: agent.osName };
}

/** Pushes the appliance's version of the agent, where the machine's is older. @throws DomainError RemoteFailure */
export async function updateAgent(parts: AgentParts, body: Update, signal: AbortSignal): Promise<Details> {
  const { store, processServer, onProgress } = parts;
  const { machineName, biosUuid, push } = body;
  const { version, before } = await pushAgent(
    store,
    { machineName, biosUuid, target: push, onProgress },
    signal,
  );
  onProgress(
    before === version
      ? `The Mobility Service was ${version} already`
      : `The Mobility Service is ${version} now`,
    100,
  );
  // The installer ends when the new version has reached the process server.
  const agent = findAgent(processServer, biosUuid);
  return { agentVersion: version, ...(agent === undefined ? {} : { osName: agent.osName }) };
}

/** One that was enrolled before this appliance started is given the time to be heard again. */
async function isInTouch(
  processServer: AgentParts['processServer'],
  biosUuid: string,
  signal: AbortSignal,
): Promise<boolean> {
  for (const endMs = Date.now() + graceMs; ; await delay(lookEveryMs, signal)) {
    signal.throwIfAborted();
    const agent = findAgent(processServer, biosUuid);
    if (agent === undefined) return false;
    if (agent.lastHeartbeatMs > Date.now() - awayAfterMs) return true;
    if (Date.now() > endMs) return false;
  }
}

function findAgent({ agents }: Pick<ProcessServer, 'agents'>, biosUuid: string): AgentStatus | undefined {
  return agents().find((agent) => agent.biosUuid === biosUuid.toLowerCase());
}

/** Undefined where it listens at all addresses: then the machine uses the one that the push came from. */
function reachableHost(host: string): string | undefined {
  return host === '0.0.0.0' || host === '::' ? undefined : host;
}
