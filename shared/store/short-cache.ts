/**
 * Values that many requests need within the same second, and that may be a second old. Who asks while one is being
 * read waits for that reading. What is not there is not kept.
 */
export class ShortCache<T> {
  readonly #kept = new Map<string, { value: Promise<T>; untilMs: number }>();
  readonly #lifeMs: number;

  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs;
  }

  /** The kept value, or what `read` gives. @throws what `read` throws; nothing is kept then. */
  async get(key: string, read: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.untilMs > Date.now()) return kept.value;
    if (this.#kept.size >= mostKept) this.#kept.clear();
    const reading = { value: read(), untilMs: Date.now() + this.#lifeMs };
    this.#kept.set(key, reading);
    try {
      const value = await reading.value;
      if (value === undefined) this.#forget(key, reading);
      return value;
    } catch (error) {
      this.#forget(key, reading);
      throw error;
    }
  }

  /** Unless another reading took its place. */
  #forget(key: string, reading: object): void {
    if (this.#kept.get(key) === reading) this.#kept.delete(key);
  }
}

const mostKept = 1_000;
