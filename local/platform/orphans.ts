import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const WAIT_MS = 15_000;

/**
 * Waits until the children of a platform that was killed have ended, which they do by themselves: their ports and
 * files are free then. Gives up after a while; what still holds something says so when it is wanted.
 */
export async function waitForOrphans(pids: Record<string, number>): Promise<void> {
  const deadlineMs = Date.now() + WAIT_MS;
  while (Date.now() < deadlineMs && Object.values(pids).some(isOrphan)) await pause(50);
}

/** Whether a process runs that may be ours; its number may have gone to another one since. */
function isOrphan(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('local/');
  } catch {
    return process.platform !== 'linux';
  }
}
