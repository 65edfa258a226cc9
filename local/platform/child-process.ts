import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** How to start one child process. */
export type ChildSpec = {
  name: string;
  /** Path of its entry file. */
  main: string;
  args?: string[];
  /** Beside this process' own; other users of the machine see arguments, not these. */
  env?: Record<string, string>;
};

export type ChildEvents = {
  /** A line that the child wrote. */
  onLine(name: string, line: string): void;
  /** What happens to the child: a sentence. */
  onNotice(sentence: string): void;
  /** The child runs (again). */
  onPid(name: string, pid: number | undefined): void;
};

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 15_000;
/** A child that ran this long starts afresh with short pauses. */
const SETTLED_MS = 60_000;
/** How long a child may take to end cleanly. */
const GRACE_MS = 10_000;

/**
 * Runs a child process and starts it again when it dies, with growing pauses. A child says that it is ready by a line
 * `{"ready":true,...}`, ends on SIGTERM, and ends by itself when its IPC channel closes: when this process is killed.
 */
export class SupervisedChild {
  readonly #spec: ChildSpec;
  readonly #events: ChildEvents;
  #process: ChildProcess | undefined;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(spec: ChildSpec, events: ChildEvents) {
    this.#spec = spec;
    this.#events = events;
  }

  /**
   * Starts the child and waits until it is ready.
   * @returns what it said
   * @throws when it ends before, with what it wrote on standard error
   */
  async start(): Promise<Record<string, unknown>> {
    const { child, ready } = this.#launch();
    const said = await ready;
    child.once('exit', (code, signal) => this.#onExit(Date.now() - startedAtMs, code, signal));
    const startedAtMs = Date.now();
    if (child.exitCode !== null || child.signalCode !== null)
      this.#onExit(0, child.exitCode, child.signalCode);
    return said;
  }

  /** Ends the child: SIGTERM, and SIGKILL when it has not ended in time. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => {
      this.#events.onNotice(`${this.#spec.name} did not end in ${GRACE_MS / 1000} s and is killed.`);
      child.kill('SIGKILL');
    }, GRACE_MS);
    await exited;
    clearTimeout(timer);
  }

  /** Ends the child at once. */
  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restart);
    this.#process?.kill('SIGKILL');
  }

  #launch(): { child: ChildProcess; ready: Promise<Record<string, unknown>> } {
    const { name, main, args = [], env } = this.#spec;
    const child = spawn(process.execPath, [main, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...env },
      // A session of its own, so that Ctrl-C in the terminal reaches this process only, which ends them in order.
      detached: true,
    });
    this.#process = child;
    this.#events.onPid(name, child.pid);
    return { child, ready: this.#readReady(child) };
  }

  #readReady(child: ChildProcess): Promise<Record<string, unknown>> {
    const { name } = this.#spec;
    return new Promise((resolve, reject) => {
      const complaints: string[] = [];
      forEachLine(child.stdout, (line) => {
        const said = parseReady(line);
        if (said === undefined) this.#events.onLine(name, line);
        else resolve(said);
      });
      forEachLine(child.stderr, (line) => {
        complaints.push(line);
        if (complaints.length > 20) complaints.shift();
        this.#events.onLine(name, line);
      });
      child.once('error', reject);
      child.once('close', (code, signal) => {
        reject(
          new Error([`${name} ended (${signal ?? code}) before it was ready`, ...complaints].join('\n  ')),
        );
      });
    });
  }

  #onExit(ranMs: number, code: number | null, signal: string | null): void {
    if (this.#stopping) return;
    if (ranMs > SETTLED_MS) this.#pauseMs = FIRST_PAUSE_MS;
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
    const { name } = this.#spec;
    this.#events.onNotice(
      `${name} ended (${signal ?? `exit code ${code}`}); it is started again in ${pauseMs / 1000} s.`,
    );
    this.#restart = setTimeout(() => {
      this.start().then(
        () => this.#events.onNotice(`${name} runs again.`),
        () => this.#onExit(0, this.#process?.exitCode ?? null, this.#process?.signalCode ?? null),
      );
    }, pauseMs);
  }
}

function forEachLine(stream: Readable | null, use: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream, crlfDelay: Infinity }).on('line', use);
}

function parseReady(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const said = JSON.parse(line) as Record<string, unknown>;
    return said['ready'] === true ? said : undefined;
  } catch {
    return undefined;
  }
}
