import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

const stopLimitMs = 15_000;

/** How Node is started where nothing else is said. */
export const plainNode: readonly string[] = [process.execPath];

/**
 * Runs a part of Secondsite as its user would, to its end.
 *
 * @param options.node how Node is started
 * @throws Error with what it wrote when it fails
 */
export async function run(
  args: readonly string[],
  options: { input?: string; node?: readonly string[] } = {},
): Promise<string> {
  const [program = '', ...rest] = [...(options.node ?? plainNode), ...args];
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
  child.stdin.end(options.input ?? '');
  const [code] = (await once(child, 'close')) as [number | null];
  const text = Buffer.concat(output).toString('utf8');
  if (code === 0) return text;
  throw new Error(`${Buffer.concat(complaints).toString('utf8').trim() || text.trim()} (exit code ${code})`);
}

/** A part of Secondsite that runs on: its output in a log file, its end told. */
export class Service {
  readonly name: string;
  readonly logPath: string;
  readonly #child: ChildProcess;
  readonly #ready: Promise<Record<string, unknown>>;
  #isStopping = false;

  constructor(options: {
    name: string;
    args: readonly string[];
    logPath: string;
    onDeath: (sentence: string) => void;
    node?: readonly string[];
  }) {
    this.name = options.name;
    this.logPath = options.logPath;
    // The IPC channel ends it when this process is killed; a session of its own keeps Ctrl-C from it.
    const [program = '', ...args] = [...(options.node ?? plainNode), ...options.args];
    this.#child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const log = createWriteStream(options.logPath, { flags: 'a', mode: 0o600 });
    this.#ready = new Promise((resolve, reject) => {
      const last: string[] = [];
      for (const stream of [this.#child.stdout, this.#child.stderr]) {
        if (!stream) continue;
        createInterface({ input: stream }).on('line', (line) => {
          log.write(`${line}\n`);
          last.push(line);
          if (last.length > 10) last.shift();
          const said = parseReady(line);
          if (said) resolve(said);
        });
      }
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        log.end();
        const sentence = `${this.name} ended (${signal ?? `exit code ${code}`}): ${last.join(' | ')}`;
        reject(new Error(sentence));
        if (!this.#isStopping) options.onDeath(sentence);
      });
    });
    this.#ready.catch(() => {}); // told by whoever waits for it, and by onDeath
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** What it says when it is ready. @throws Error when it ends before */
  ready(): Promise<Record<string, unknown>> {
    return this.#ready;
  }

  /** Ends it: SIGTERM, and SIGKILL when it takes too long. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopLimitMs);
    await ended;
    clearTimeout(timer);
  }

  kill(): void {
    this.#isStopping = true;
    this.#child.kill('SIGKILL');
  }
}

function parseReady(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const said = JSON.parse(line) as Record<string, unknown>;
    return said['ready'] === true ? said : undefined;
  } catch {
    return undefined; // a log line that begins like JSON
  }
}
