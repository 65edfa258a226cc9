import { delay } from './back-off.ts';

/** What a loop waits for between its rounds. A wake-up that comes while nobody waits ends the next wait at once. */
export class WakeUp {
  #woken = false;
  #current: AbortController | undefined;

  wake(): void {
    this.#woken = true;
    this.#current?.abort();
  }

  /** Waits for a wake-up, but no longer than this and not beyond the signal. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#woken && !signal.aborted) {
      this.#current = new AbortController();
      await delay(ms, AbortSignal.any([this.#current.signal, signal]));
      this.#current = undefined;
    }
    this.#woken = false;
  }
}
