import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

const Result = z.object({
  jobs: z.array(z.object({ write: z.object({ iops: z.number(), bw_bytes: z.number() }) })),
});

/** Says that fio is missing, with what to do; undefined when it is there. */
export function findMissingFio(): string | undefined {
  if (spawnSync('fio', ['--version']).status === 0) return undefined;
  return 'fio can not be run, and the benchmark makes its load with it. Install it: apt-get install fio';
}

/** A load of random writes on files, until its time is over or it is stopped. */
export class Fio {
  readonly #child;
  readonly #out: Promise<string>;

  /**
   * @param folders one job each
   * @param options as fio has them, of every job
   */
  constructor(folders: readonly string[], options: Record<string, string | number>) {
    const common = { rw: 'randwrite', bs: '4k', time_based: 1, ...options };
    const words = Object.entries(common).map(([name, value]) => `--${name}=${value}`);
    const jobs = folders.flatMap((folder, at) => [`--name=job${at}`, `--filename=${folder}/fio`, ...words]);
    this.#child = spawn('fio', ['--output-format=json', ...jobs], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#out = text(this.#child.stdout);
  }

  stop(): void {
    this.#child.kill('SIGINT');
  }

  /** What it wrote in a second, all jobs together. */
  async rates(): Promise<{ writes: number; bytes: number }> {
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    const out = await this.#out;
    const { jobs } = Result.parse(JSON.parse(out.slice(out.indexOf('{'))));
    return {
      writes: jobs.reduce((sum, { write }) => sum + write.iops, 0),
      bytes: jobs.reduce((sum, { write }) => sum + write.bw_bytes, 0),
    };
  }
}
