import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { type Part, type Step } from './transcript.ts';

const installation = resolve(import.meta.dirname, '..', '..');
/** The home folder that the transcripts show. */
const shownHome = '/home/you';
const stepLimitMs = 300_000;
const stopLimitMs = 20_000;

/**
 * Runs a tutorial's steps as its reader would: one shell in the folder of the installation, programs that run on in
 * terminals of their own, a new home folder. All of it is gone at the end.
 * @returns the tutorial with what each step printed
 * @throws Error with the step and all it printed when one fails
 */
export async function runTutorial(parts: readonly Part[]): Promise<Part[]> {
  const home = mkdtempSync(join(tmpdir(), 'secondsite-tutorial-'));
  const terminals = new Terminals(home);
  try {
    const ran: Part[] = [];
    for (const part of parts) {
      if (typeof part === 'string') ran.push(part);
      else ran.push({ ...part, output: clean(await terminals.run(part), home) });
    }
    return ran;
  } finally {
    await terminals.close();
    rmSync(home, { recursive: true, force: true });
  }
}

/** As a reader would see it: no colours, no trailing blanks, the home folder by the name of the documents. */
function clean(output: string, home: string): string {
  return stripVTControlCharacters(output)
    .replaceAll('\r', '')
    .replaceAll(home, shownHome)
    .replaceAll(installation, `${shownHome}/secondsite`)
    .replaceAll(/[ \t]+$/gmu, '')
    .replaceAll(/\n{3,}/gu, '\n\n')
    .replaceAll(/^\n+|\n+$/gu, '');
}

type Shell = ChildProcessByStdio<Writable, Readable, Readable>;

class Terminals {
  readonly #env: NodeJS.ProcessEnv;
  readonly #main: Terminal;
  readonly #others: Terminal[] = [];

  constructor(home: string) {
    const { PATH = '', LANG = 'C.UTF-8' } = process.env;
    this.#env = {
      PATH,
      LANG,
      HOME: home,
      // npm start without its build: the caller has built, and others may be loading what it made.
      npm_config_ignore_scripts: 'true',
      npm_config_update_notifier: 'false',
      npm_config_offline: 'true',
      AZURE_CORE_COLLECT_TELEMETRY: 'false',
      AZURE_CORE_NO_COLOR: 'true',
    };
    this.#main = this.#open();
  }

  async run({ command, runsUntil }: Step): Promise<string> {
    if (runsUntil === undefined) return this.#main.run(command);
    const terminal = this.#open();
    this.#others.push(terminal);
    return terminal.runUntil(command, runsUntil);
  }

  async close(): Promise<void> {
    for (const terminal of [this.#main, ...this.#others.toReversed()]) await terminal.close();
  }

  #open(): Terminal {
    return new Terminal(this.#env, join(this.#env['HOME'] ?? '', '.step.sh'));
  }
}

/** One shell, and what it prints. */
class Terminal {
  readonly #shell: Shell;
  readonly #stepFile: string;
  #printed = '';
  #onPrint = (): void => {};

  constructor(env: NodeJS.ProcessEnv, stepFile: string) {
    this.#stepFile = stepFile;
    // A process group of its own, so that all it starts ends with it.
    this.#shell = spawn('bash', ['--noprofile', '--norc'], {
      cwd: installation,
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const hear = (chunk: Buffer): void => {
      this.#printed += chunk.toString('utf8');
      this.#onPrint();
    };
    this.#shell.stdout.on('data', hear);
    this.#shell.stderr.on('data', hear);
    this.#shell.once('close', () => this.#onPrint());
    this.#shell.stdin.on('error', () => undefined); // the shell has ended: told by `#until`
    this.#shell.stdin.write('exec 2>&1\nset -eo pipefail\n');
  }

  /** @returns what the command printed, to its end */
  async run(command: string): Promise<string> {
    const end = '\u0004end of step\u0004';
    this.#printed = '';
    // From a file, so that no program of the step reads the steps after it.
    writeFileSync(this.#stepFile, `${command}\n`);
    this.#shell.stdin.write(`. '${this.#stepFile}' </dev/null\nprintf '\\004end of step\\004'\n`);
    await this.#until(command, () => this.#printed.includes(end));
    return this.#printed.replace(end, '');
  }

  /** @returns what the command printed up to the line with these words */
  async runUntil(command: string, words: string): Promise<string> {
    this.#shell.stdin.write(`${command}\n`);
    const end = (): number => this.#printed.indexOf('\n', Math.max(this.#printed.indexOf(words), 0));
    await this.#until(command, () => this.#printed.includes(words) && end() > 0);
    return this.#printed.slice(0, end());
  }

  async close(): Promise<void> {
    const { pid, exitCode, signalCode } = this.#shell;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    const ended = once(this.#shell, 'close');
    this.#shell.stdin.end();
    process.kill(-pid, 'SIGTERM');
    const timer = setTimeout(() => process.kill(-pid, 'SIGKILL'), stopLimitMs);
    await ended;
    clearTimeout(timer);
  }

  async #until(command: string, isDone: () => boolean): Promise<void> {
    const fail = (what: string): Error =>
      new Error(`${what}:\n\n${command}\n\nIt printed:\n\n${this.#printed}`);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(fail(`A step took longer than ${stepLimitMs / 1000} s`)),
        stepLimitMs,
      );
      this.#onPrint = () => {
        const hasEnded = this.#shell.exitCode !== null || this.#shell.signalCode !== null;
        if (!isDone() && !hasEnded) return;
        clearTimeout(timer);
        if (isDone()) resolve();
        else reject(fail('A step failed'));
      };
      this.#onPrint();
    }).finally(() => (this.#onPrint = () => {}));
  }
}
