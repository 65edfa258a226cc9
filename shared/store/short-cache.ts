/** Values that many requests need within the same second, and that may be a second old. What is not there is not kept. */
export class ShortCache<T> {
  readonly #kept = new Map<string, { value: T; untilMs: number }>();
  readonly #lifeMs: number;

  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs;
  }

  /** The kept value, or what `read` gives. @throws what `read` throws; nothing is kept then. */
  async get(key: string, read: () => Promise<T>): Promise<T> {
    const nowMs = Date.now();
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.untilMs > nowMs) return kept.value;
    const value = await read();
    if (this.#kept.size >= mostKept) this.#kept.clear();
    if (value !== undefined) this.#kept.set(key, { value, untilMs: nowMs + this.#lifeMs });
    return value;
  }
}

const mostKept = 1_000;
