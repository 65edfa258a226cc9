import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** The appliance as a process of its own. */
export class ApplianceProcess {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Resolves when the appliance says that it is ready. */
  static async start(
    dataFolder: string,
    logPath: string,
    environment: Record<string, string> = {},
  ): Promise<ApplianceProcess> {
    const main = fileURLToPath(new URL('../../../appliance/main.ts', import.meta.url));
    const child = spawn(process.execPath, [main, '--data-folder', dataFolder, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    child.stderr.pipe(createWriteStream(logPath, { flags: 'a' }));
    await new Promise<void>((resolve, reject) => {
      createInterface(child.stdout).once('line', () => resolve());
      child.once('exit', (code) => reject(new Error(`The appliance ended with ${code}; see ${logPath}`)));
    });
    return new ApplianceProcess(child);
  }

  /** Ends it; resolves with its exit code, or null when it was killed. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    child.kill(signal);
    return ended;
  }
}
