import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** Two programs that keep writing to two file systems until they are stopped: see `writer.ts`. */
export class Writers {
  readonly #programs: ChildProcess[];

  constructor(one: string, other: string) {
    const program = join(import.meta.dirname, 'writer.ts');
    this.#programs = ['0', '1'].map((seed) =>
      spawn(process.execPath, [program, one, other, seed], { stdio: ['ignore', 'ignore', 'inherit'] }),
    );
  }

  get areAtWork(): boolean {
    return this.#programs.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#programs.splice(0).map(async (program) => {
        const ended = once(program, 'exit');
        program.kill('SIGKILL');
        await ended;
      }),
    );
  }
}
