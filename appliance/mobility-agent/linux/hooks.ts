import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../../../shared/fault.ts';

/**
 * Scripts that bring applications to a state worth keeping: the executable files of `before-freeze.d` and
 * `after-thaw.d` in a folder, in the order of their names. They get `SECONDSITE_PHASE` and, after the thaw,
 * `SECONDSITE_OUTCOME` (`made` or `failed`). They run as the agent's user, so nobody else may be able to write to them.
 */
export class Hooks {
  readonly #folder: string;
  readonly #timeoutMs: number;

  /** @param timeoutMs how long one script may take; then it is killed, with what it has started */
  constructor(folder: string, timeoutMs: number) {
    this.#folder = folder;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Runs what is to run before the freeze; stops at the first that fails.
   *
   * @returns false when there is nothing to run: then the applications are not prepared
   * @throws DomainError RemoteFailure
   */
  async before(): Promise<boolean> {
    const scripts = this.#scripts('before-freeze.d');
    for (const script of scripts) await this.#run(script, { SECONDSITE_PHASE: 'before-freeze' });
    return scripts.length > 0;
  }

  /** Runs what is to run after the thaw: all of them, also when one fails or the point did. @throws DomainError RemoteFailure */
  async after(outcome: 'made' | 'failed'): Promise<void> {
    let failure: unknown;
    for (const script of this.#scripts('after-thaw.d')) {
      const environment = { SECONDSITE_PHASE: 'after-thaw', SECONDSITE_OUTCOME: outcome };
      await this.#run(script, environment).catch((error: unknown) => (failure ??= error));
    }
    if (failure !== undefined) throw failure;
  }

  #scripts(name: string): string[] {
    const folder = join(this.#folder, name);
    let names: string[];
    try {
      names = readdirSync(folder).toSorted();
    } catch {
      return []; // no such folder: no such hooks
    }
    requireSafe(folder);
    const scripts = names.map((file) => join(folder, file)).filter((path) => isExecutable(path));
    for (const script of scripts) requireSafe(script);
    return scripts;
  }

  async #run(script: string, environment: Record<string, string>): Promise<void> {
    const child = spawn(script, [], {
      stdio: 'ignore',
      detached: true, // a group of its own, so that what it starts ends with it
      env: { ...process.env, ...environment },
    });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      if (child.pid !== undefined) killGroup(child.pid);
    }, this.#timeoutMs);
    const outcome = await new Promise<string>((resolve) => {
      child.on('error', (error: NodeJS.ErrnoException) => resolve(`starting it gives ${error.code}`));
      child.on('exit', (code, signal) => resolve(code === 0 ? '' : `it ended with ${code ?? signal}`));
    });
    clearTimeout(timer);
    const reason = isLate ? `it took longer than ${this.#timeoutMs / 1_000} s` : outcome;
    if (reason !== '') throw hookFailed(script, reason);
  }
}

function requireSafe(path: string): void {
  const { uid, mode } = statSync(path);
  const isOurs = uid === 0 || uid === process.getuid?.();
  if (!isOurs || (mode & 0o022) !== 0)
    throw hookFailed(path, 'others than the agent and root may write to it (chown it to root, chmod go-w)');
}

function isExecutable(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // it ended in the same moment
  }
}

function hookFailed(path: string, reason: string): DomainError {
  return new DomainError({
    code: 'RemoteFailure',
    message: `The hook ${path} failed: ${reason}. The point is not consistent for applications.`,
    target: path,
    recommendedAction: 'Correct the script; run it by hand to see what it says.',
  });
}
