import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../shared/fault.ts';
import { takeDataFolder } from '../configuration-server/single-run.ts';
import { version } from '../version.ts';
import { MobilityAgent, type AgentNotice } from './agent.ts';
import type { DiskChoice } from './disks.ts';
import { loadIdentity, type AgentIdentity } from './identity.ts';
import type { LivePolicy } from './live-cycle.ts';
import { describeMachine } from './machine.ts';
import { writeStatus } from './status.ts';

const statusEveryMs = 1_000;

/** What an agent is started with. */
interface RunOptions {
  dataFolder: string;
  disks: DiskChoice;
  /** How points of block devices in use are made. */
  live: LivePolicy;
  /** One JSON object a line in place of words. */
  json: boolean;
}

/**
 * Runs the agent of a data folder until SIGTERM or SIGINT.
 *
 * @throws DomainError ResourceNotFound when it is not enrolled, Conflict when it runs already
 */
export async function runAgent(options: RunOptions): Promise<void> {
  const { dataFolder, disks, live } = options;
  const identity = loadIdentity(dataFolder);
  const giveFree = await takeFolder(dataFolder);
  const agent = new MobilityAgent({
    identity,
    dataFolder,
    machine: describeMachine(),
    disks,
    live,
    notice: (notice) => {
      say(options, notice);
      tell();
    },
  });
  const status = new StatusTeller(options, identity, agent);
  const tell = (): void => status.tell();
  const stop = (): void => agent.stop();
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  say(options, { kind: 'running', biosUuid: identity.biosUuid, server: serverOf(identity) });
  for (const { fault } of agent.status().disks) if (fault) say(options, { kind: 'fault', fault });
  tell();
  const timer = setInterval(tell, statusEveryMs);
  try {
    await agent.run();
  } finally {
    clearInterval(timer);
    tell();
    giveFree();
  }
  say(options, { kind: 'stopped' });
}

/** `secondsite agent status` looks at the lock for a moment too: only who keeps it is another agent. */
async function takeFolder(dataFolder: string): Promise<() => void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return takeDataFolder(dataFolder);
    } catch (error) {
      if (attempt >= 5) throw error;
      await delay(50);
    }
  }
}

/** Whether an agent works on this data folder now. */
export function isRunning(dataFolder: string): boolean {
  try {
    takeDataFolder(dataFolder)();
    return false;
  } catch (error) {
    if (error instanceof DomainError && error.fault.code === 'Conflict') return true;
    throw error;
  }
}

type Line = AgentNotice | { kind: 'running'; biosUuid: string; server: string } | { kind: 'stopped' };

function say({ json }: RunOptions, line: Line): void {
  const time = new Date().toISOString();
  process.stdout.write(`${json ? JSON.stringify({ time, ...line }) : `${time} ${inWords(line)}`}\n`);
}

function inWords(line: Line): string {
  if (line.kind === 'point') return pointInWords(line);
  if (line.kind === 'fault') return faultInWords(line);
  if (line.kind === 'connected') return 'The process server is in touch.';
  if (line.kind === 'recovered') return `${line.protectedItemId} goes on.`;
  if (line.kind === 'stopped') return 'The mobility agent has stopped.';
  return `The mobility agent of ${line.biosUuid} runs, for the process server ${line.server}. Ctrl-C stops it.`;
}

function pointInWords(line: Line & { kind: 'point' }): string {
  const { protectedItemId, pointSequence, seconds, changedBytes, consistency } = line;
  const what = changedBytes === undefined ? '' : `, ${changedBytes} bytes had changed`;
  const kind = consistency === 'NotConsistent' ? ' (its disks changed while they were read)' : '';
  const { frozenMs = 0, compared, hookFailure = '' } = line.live ?? {};
  const frozen = line.live ? `, frozen for ${frozenMs.toFixed(0)} ms` : '';
  const whole = compared === undefined ? '' : `, compared in whole (${compared})`;
  const made = `Point ${pointSequence} of ${protectedItemId} in ${seconds.toFixed(1)} s${what}${frozen}${whole}${kind}.`;
  return `${made} ${hookFailure}`.trimEnd();
}

function faultInWords({ protectedItemId, fault }: Line & { kind: 'fault' }): string {
  const whose = protectedItemId === undefined ? '' : `${protectedItemId} stands still: `;
  return [`${whose}${fault.message}`, fault.recommendedAction].filter(Boolean).join(' ');
}

/** Writes the status file when there is something new to say. */
class StatusTeller {
  readonly #options: RunOptions;
  readonly #identity: AgentIdentity;
  readonly #agent: MobilityAgent;
  #told = '';

  constructor(options: RunOptions, identity: AgentIdentity, agent: MobilityAgent) {
    this.#options = options;
    this.#identity = identity;
    this.#agent = agent;
  }

  tell(): void {
    if (this.#agent.isFrozen) return; // the status file may lie on a frozen file system
    const { dataFolder } = this.#options;
    const { serverFault, connectedAtMs, disks, items } = this.#agent.status();
    const status = {
      processId: process.pid,
      version,
      biosUuid: this.#identity.biosUuid,
      server: serverOf(this.#identity),
      ...(serverFault ? { serverFault } : {}),
      ...(connectedAtMs === undefined ? {} : { connectedAtMs }),
      disks: disks.map((disk) => ({ ...disk, path: disk.path ?? '' })),
      items,
    };
    const text = JSON.stringify(status);
    if (text !== this.#told) writeStatus(dataFolder, status);
    this.#told = text;
  }
}

function serverOf({ host, port }: AgentIdentity): string {
  return `${host}:${port}`;
}
