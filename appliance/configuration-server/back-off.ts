import { setTimeout as wait } from 'node:timers/promises';

/** Waiting times between tries: doubled from one second to a minute, each with a random half taken off or not. */
export class BackOff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #failures = 0;

  constructor(firstMs = 1_000, longestMs = 60_000) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** How long to wait after one more failure. */
  nextMs(): number {
    const fullMs = Math.min(this.#longestMs, this.#firstMs * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    return fullMs * (0.5 + Math.random() / 2);
  }

  /** Waits that long, or until the signal. */
  async wait(signal: AbortSignal): Promise<void> {
    await delay(this.nextMs(), signal);
  }
}

/** Waits, and returns early without an error when the signal is given. */
export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await wait(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
