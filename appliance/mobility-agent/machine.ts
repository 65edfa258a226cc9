import { existsSync, readFileSync } from 'node:fs';
import { cpus, hostname, networkInterfaces, release, totalmem, type } from 'node:os';
import { parseEnv } from 'node:util';
import { MiB } from '../../shared/bytes.ts';
import type { AgentHardware, AgentMachine } from '../../shared/wire/agent.ts';
import { version } from '../version.ts';

/** What this agent says of the machine it runs on. */
export function describeMachine(): AgentMachine {
  return {
    hostName: hostname().slice(0, 255),
    osName: (findDistribution() ?? `${type()} ${release()}`).slice(0, 255),
    version,
    hardware: describeHardware(),
  };
}

function describeHardware(): AgentHardware {
  const addresses = Object.values(networkInterfaces()).flatMap((found = []) => {
    const first = found.find(
      ({ internal, scopeid }) => !internal && (scopeid === undefined || scopeid === 0),
    );
    return first ? [{ mac: first.mac, ipAddress: first.address }] : [];
  });
  return {
    cpus: Math.max(1, cpus().length),
    memoryMB: Math.max(1, Math.round(totalmem() / MiB)),
    // https://docs.kernel.org/filesystems/sysfs.html: the folder is there when the firmware that booted was UEFI
    firmware: existsSync('/sys/firmware/efi') ? 'efi' : 'bios',
    nics: addresses.slice(0, 64),
  };
}

function findDistribution(): string | undefined {
  try {
    return parseEnv(readFileSync('/etc/os-release', 'utf8'))['PRETTY_NAME'];
  } catch {
    return undefined; // not every system has the file
  }
}
