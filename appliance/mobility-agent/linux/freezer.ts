import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { freezeWatchdog } from './freeze-watchdog.ts';

type Watchdog = ChildProcessByStdio<Writable, Readable, null>;

/** How freezing went. */
export interface Frozen {
  /** File systems that can't be frozen: what they write is seen, but not held back. */
  unfreezable: string[];
}

/** The freeze is not, or was not all the time, what it should be: what was read in it is of no use. */
export class BrokenFreeze extends Error {
  override readonly name = 'BrokenFreeze';
}

/**
 * Freezes file systems together, for a short and limited time. The watchdog process that does it thaws them when this
 * process dies, hangs or forgets. While they are frozen, nothing here may write to any of them.
 */
export class Freezer {
  readonly #mountPoints: readonly string[];
  readonly #watchdog: Watchdog;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};
  #isOver = false;
  /** Whether the watchdog said that it is through: if not, somebody killed it. */
  #isDone = false;
  #mayBeFrozen = false;

  private constructor(mountPoints: readonly string[], limitMs: number) {
    this.#mountPoints = mountPoints;
    const words = ['-c', freezeWatchdog, 'secondsite-freeze', String(limitMs / 1_000), ...mountPoints];
    this.#watchdog = spawn('bash', words, { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
    this.#watchdog.on('error', () => this.#end());
    this.#watchdog.stdin.on('error', () => {}); // it is gone: told by its exit
    const lines = createInterface({ input: this.#watchdog.stdout });
    lines.on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
    lines.on('close', () => this.#end());
  }

  /** Gets a watchdog ready, so that freezing is quick. Give it back with {@link close}. @throws BrokenFreeze */
  static async prepare(mountPoints: readonly string[], limitMs: number): Promise<Freezer> {
    const freezer = new Freezer(mountPoints, limitMs);
    if ((await freezer.#nextLine()) !== 'ready') throw new BrokenFreeze('bash could not be started');
    return freezer;
  }

  /** @throws BrokenFreeze when a file system that can be frozen was not; then all are thawed again */
  async freeze(): Promise<Frozen> {
    this.#mayBeFrozen = true;
    this.#watchdog.stdin.write('freeze\n');
    const unfreezable: string[] = [];
    for (let told = 0; told < this.#mountPoints.length; told += 1) {
      const [what, at, why] = split(await this.#nextLine());
      const mountPoint = this.#mountPoints[Number(at)] ?? '';
      if (what === 'frozen') continue;
      if (what === 'failed' && why.includes('Operation not supported')) unfreezable.push(mountPoint);
      else
        await this.#giveUp(
          what === 'failed' ? `${mountPoint} could not be frozen (${why})` : inWords(what, at),
        );
    }
    return { unfreezable };
  }

  /** @throws BrokenFreeze when the file systems were not frozen until now */
  async thaw(): Promise<void> {
    this.#watchdog.stdin.write('thaw\n');
    const broken: string[] = [];
    for (;;) {
      const [what, at, why] = split(await this.#nextLine());
      if (what === 'stuck') broken.push(`somebody else thawed ${this.#mountPoints[Number(at)]} (${why})`);
      else if (what === 'done' && at !== 'asked') broken.unshift(inWords(what, at));
      else if (what === 'gone') broken.push('its watchdog was killed');
      if (what === 'done' || what === 'gone') break;
    }
    if (broken.length > 0) throw new BrokenFreeze(broken.join('; '));
  }

  /** Resolves when nothing is frozen any more. */
  async close(): Promise<void> {
    this.#watchdog.stdin.end();
    while (!this.#isOver) await this.#nextLine();
  }

  async #giveUp(reason: string): Promise<never> {
    await this.close();
    throw new BrokenFreeze(reason);
  }

  async #nextLine(): Promise<string> {
    while (this.#lines.length === 0 && !this.#isOver)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    const line = this.#lines.shift() ?? 'gone';
    if (line.startsWith('done ')) this.#isDone = true;
    return line;
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isDone ||= this.#lines.some((line) => line.startsWith('done '));
    if (this.#mayBeFrozen && !this.#isDone) this.#thawAll();
    this.#wake();
  }

  /** The watchdog was killed: nobody else will. Waits for it, as writing anything now could hang. */
  #thawAll(): void {
    for (const mountPoint of this.#mountPoints)
      spawnSync('fsfreeze', ['--unfreeze', '--', mountPoint], { stdio: 'ignore', timeout: 10_000 });
  }
}

/** Flushes what the file systems hold back, so that freezing them has little to do. */
export async function syncFileSystems(mountPoints: readonly string[], signal: AbortSignal): Promise<void> {
  if (mountPoints.length === 0) return;
  const sync = spawn('sync', ['--file-system', ...mountPoints], { stdio: 'ignore', signal });
  await new Promise<void>((resolve) => {
    sync.on('error', () => resolve()); // freezing tells what is wrong
    sync.on('close', () => resolve());
  });
}

function split(line: string): [what: string, at: string, why: string] {
  const [what = '', at = '', ...why] = line.split(' ');
  return [what, at, why.join(' ')];
}

function inWords(what: string, end: string): string {
  if (what === 'gone') return 'its watchdog was killed';
  if (end === 'late' || what === 'thawed' || what === 'stuck') return 'it took longer than the limit';
  return `the watchdog said '${what} ${end}'`;
}
