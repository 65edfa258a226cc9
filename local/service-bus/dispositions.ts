import rhea from 'rhea';
import frames from 'rhea/lib/frames.js';
import type { Session } from 'rhea';
import { connectionInternals, type RheaDelivery, sessionInternals } from './rhea-internals.ts';
import type { Refusal } from './refusal.ts';

const ACCEPTED = rhea.types.wrap_described([], 0x24);

/**
 * Settles deliveries of one session. rhea's own writer merges the first two outcomes of a turn without
 * comparing them, so the frames are made here; only runs of accepted deliveries share a frame.
 */
export class Dispositions {
  readonly #session: Session;
  /** Whose side the settled deliveries were received on: true where the broker is the receiver. */
  readonly #isReceiver: boolean;
  #first = 0;
  #last = -1;

  constructor(session: Session, isReceiver: boolean) {
    this.#session = session;
    this.#isReceiver = isReceiver;
  }

  /** Settles as accepted; runs accepted in one turn are written together at its end. */
  accept(delivery: RheaDelivery): void {
    if (this.#last >= this.#first && delivery.id !== this.#last + 1) this.#flush();
    if (this.#last < this.#first) {
      this.#first = delivery.id;
      process.nextTick(() => this.#flush());
    }
    this.#last = delivery.id;
    this.#forget(delivery);
  }

  /** Settles as rejected, at once. */
  refuse(delivery: RheaDelivery, refusal: Refusal): void {
    this.#flush();
    const error = rhea.types.wrap_described(
      [
        rhea.types.wrap_symbol(refusal.condition),
        rhea.types.wrap_string(refusal.message),
        rhea.types.wrap_map({}),
      ],
      0x1d,
    );
    this.#write(delivery.id, delivery.id, rhea.types.wrap_described([error], 0x25));
    this.#forget(delivery);
  }

  #flush(): void {
    if (this.#last < this.#first) return;
    const [first, last] = [this.#first, this.#last];
    this.#last = first - 1;
    this.#write(first, last, ACCEPTED);
  }

  #write(first: number, last: number, state: unknown): void {
    if (!this.#session.is_open()) return;
    const fields = { role: this.#isReceiver, first, last, settled: true, state };
    sessionInternals(this.#session).output(frames.disposition(fields));
  }

  #forget(delivery: RheaDelivery): void {
    delivery.settled = true;
    delivery.remote_settled = true;
    connectionInternals(this.#session.connection)._register();
  }
}
