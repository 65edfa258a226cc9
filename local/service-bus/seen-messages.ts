import type { Store } from './store.ts';

/** The message ids a queue with duplicate detection remembers, oldest first. */
export class SeenMessages {
  readonly #store: Store;
  readonly #queueId: number;
  readonly #expiries: Map<string, number>;

  constructor(store: Store, queueId: number) {
    this.#store = store;
    this.#queueId = queueId;
    this.#expiries = new Map(store.loadSeen(queueId, Date.now()));
  }

  /** Remembers an id for the window; false when it was remembered already. */
  isFirst(messageId: string, nowMs: number, windowMs: number): boolean {
    this.#forgetOld(nowMs);
    if ((this.#expiries.get(messageId) ?? 0) > nowMs) return false;
    this.#expiries.set(messageId, nowMs + windowMs);
    this.#store.rememberSeen(this.#queueId, messageId, nowMs + windowMs);
    return true;
  }

  forget(messageId: string): void {
    this.#expiries.delete(messageId);
    this.#store.forgetSeen(this.#queueId, messageId);
  }

  #forgetOld(nowMs: number): void {
    for (const [messageId, expiresAtMs] of this.#expiries) {
      if (expiresAtMs > nowMs) break;
      this.forget(messageId);
    }
  }
}
