/** How much each caller may ask: a bucket of one second's requests, filled at an even rate. */
export class CallerLimit {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, { left: number; atMs: number }>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Whether this request still fits; one that does not costs nothing. */
  take(callerId: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(callerId) ?? { left: this.#perSecond, atMs: nowMs };
    const filled = bucket.left + (Math.max(nowMs - bucket.atMs, 0) / 1_000) * this.#perSecond;
    const left = Math.min(filled, this.#perSecond);
    const fits = left >= 1;
    if (!this.#buckets.has(callerId) && this.#buckets.size >= mostCallers) this.#forgetFull(nowMs);
    this.#buckets.set(callerId, { left: fits ? left - 1 : left, atMs: nowMs });
    return fits;
  }

  /** A bucket that nobody took from for a second is full, as a new one is. */
  #forgetFull(nowMs: number): void {
    for (const [callerId, { atMs }] of this.#buckets) {
      if (nowMs - atMs >= 1_000) this.#buckets.delete(callerId);
    }
  }
}

const mostCallers = 10_000;
