/** How often a line of progress is written where there is no terminal to rewrite it on. */
const plainEveryMs = 2_000;

/** A terminal or another stream. */
type Output = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };

/** Figures of a step, for `--json`. */
export type Figures = Record<string, unknown>;

/** Tells what the demo does: a live line on a terminal, plain lines elsewhere, or one JSON object a step. */
export class Reporter {
  readonly #mode: 'live' | 'plain' | 'json';
  readonly #out: Output;
  readonly #startedAtMs = Date.now();

  constructor(options: { json: boolean; out?: Output }) {
    this.#out = options.out ?? process.stdout;
    this.#mode = options.json ? 'json' : this.#out.isTTY ? 'live' : 'plain';
  }

  /**
   * Runs one step and tells how it went.
   *
   * @param work gets a function to tell progress with; returns what to say at the end and the step's figures
   */
  async step<T>(
    name: string,
    work: (progress: (text: string) => void) => Promise<{ said: string; figures?: Figures; result: T }>,
  ): Promise<T> {
    const startedAtMs = Date.now();
    let lastMs = 0;
    const progress = (text: string): void => {
      if (this.#mode === 'live')
        this.#out.write(`\r\u001B[K  … ${name}: ${text}`.slice(0, (this.#out.columns ?? 80) + 4));
      else if (this.#mode === 'plain' && Date.now() - lastMs >= plainEveryMs) {
        lastMs = Date.now();
        this.#out.write(`  … ${name}: ${text}\n`);
      }
    };
    if (this.#mode === 'live') progress('…');
    try {
      const { said, figures, result } = await work(progress);
      const seconds = (Date.now() - startedAtMs) / 1_000;
      if (this.#mode === 'json') this.#json({ step: name, outcome: 'done', seconds, said, ...figures });
      else this.#out.write(`${this.#clear()}  ✓ ${name}: ${said} (${seconds.toFixed(1)} s)\n`);
      return result;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (this.#mode === 'json') this.#json({ step: name, outcome: 'failed', message });
      else this.#out.write(`${this.#clear()}  ✗ ${name}: ${message}\n`);
      throw error;
    }
  }

  /** A line within or between steps that is to stay. */
  say(text: string, figures?: Figures): void {
    if (this.#mode === 'json') {
      if (figures) this.#json(figures);
    } else this.#out.write(`${this.#clear()}${text}\n`);
  }

  /** Seconds since the demo began. */
  seconds(): number {
    return (Date.now() - this.#startedAtMs) / 1_000;
  }

  #clear(): string {
    return this.#mode === 'live' ? '\r\u001B[K' : '';
  }

  #json(object: Figures): void {
    this.#out.write(`${JSON.stringify(object)}\n`);
  }
}

/** 1.5 GiB, 12.3 MiB, 64 KiB, 17 bytes */
export function describeBytes(bytes: number): string {
  const units = ['GiB', 'MiB', 'KiB'];
  for (const [at, unit] of units.entries()) {
    const size = bytes / 1024 ** (units.length - at);
    if (size >= 1) return `${size >= 100 ? size.toFixed(0) : size.toFixed(1)} ${unit}`;
  }
  return `${bytes} bytes`;
}
