import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../../../shared/fault.ts';

const tracefs = '/sys/kernel/tracing';
const prefix = 'secondsite-';
let made = 0;

/**
 * Makes a trace instance of our own and gives its folder. Instances whose process is gone are removed on the way.
 *
 * @throws DomainError NotSupported when this kernel or this user can't
 */
export function makeTraceInstance(): string {
  mountTracefs();
  removeOrphans();
  made += 1;
  const folder = join(tracefs, 'instances', `${prefix}${process.pid}-${made}`);
  try {
    mkdirSync(folder);
  } catch (error) {
    throw noTracing(`making the trace instance ${folder} gives ${codeOf(error)}`);
  }
  return folder;
}

/** Removes an instance; it must have no open files. */
export function removeTraceInstance(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** Why writes can't be followed on this machine. */
export function noTracing(reason: string): DomainError {
  return new DomainError({
    code: 'NotSupported',
    message: `The writes to this machine's disks can not be followed: ${reason}.`,
    recommendedAction:
      'Run the agent as root on a Linux kernel with tracefs and the event block:block_rq_complete (CONFIG_BLK_DEV_IO_TRACE).',
  });
}

function mountTracefs(): void {
  if (existsSync(join(tracefs, 'instances'))) return;
  try {
    execFileSync('mount', ['-t', 'tracefs', 'nodev', tracefs], { stdio: 'pipe' });
  } catch (error) {
    throw noTracing(`tracefs is not mounted at ${tracefs}, and mounting it failed (${codeOf(error)})`);
  }
}

/** A process that was killed leaves its instance. One that is still in use can't be removed: the kernel says EBUSY. */
function removeOrphans(): void {
  for (const name of readdirSync(join(tracefs, 'instances'))) {
    const owner = name.startsWith(prefix) ? name.slice(prefix.length).split('-')[0] : undefined;
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    try {
      rmdirSync(join(tracefs, 'instances', name));
    } catch {
      // in use after all, or another agent was faster
    }
  }
}

/** Writes a control file of an instance. @throws DomainError NotSupported */
export function setTraceControl(folder: string, file: string, value: string): void {
  try {
    writeFileSync(join(folder, file), value);
  } catch (error) {
    throw noTracing(`writing '${value}' to ${join(folder, file)} gives ${codeOf(error)}`);
  }
}

/** Reads a control file of an instance. */
export function readTraceControl(folder: string, file: string): string {
  return readFileSync(join(folder, file), 'latin1').trim();
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'an error';
}
