import { readFileSync } from 'node:fs';
import { hostname, release, type } from 'node:os';
import { parseEnv } from 'node:util';
import type { AgentMachine } from '../../shared/wire/agent.ts';
import { version } from '../version.ts';

/** What this agent says of the machine it runs on. */
export function describeMachine(): AgentMachine {
  return {
    hostName: hostname().slice(0, 255),
    osName: (findDistribution() ?? `${type()} ${release()}`).slice(0, 255),
    version,
  };
}

function findDistribution(): string | undefined {
  try {
    return parseEnv(readFileSync('/etc/os-release', 'utf8'))['PRETTY_NAME'];
  } catch {
    return undefined; // not every system has the file
  }
}
