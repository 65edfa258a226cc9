import type { Sender, Session, Typed } from 'rhea';
import type { Dispositions } from './dispositions.ts';
import { type Consumer, type Lane, type Lock, newTag } from './lane.ts';
import { encodeDelivery } from './message.ts';
import { applyOutcome } from './outcome.ts';
import type { Queue } from './queue.ts';
import { Refusal } from './refusal.ts';
import { connectionInternals, linkInternals, type RheaDelivery, sessionInternals } from './rhea-internals.ts';
import type { Store, StoredMessage } from './store.ts';

/** What a receiving client's link is attached to. */
export interface Source {
  store: Store;
  queue: Queue;
  lane: Lane;
}

/** A link over which a client receives from a queue. */
export class OutgoingLink implements Consumer {
  readonly removes: boolean;
  readonly #link: Sender;
  readonly #source: Source;
  readonly #beforeWrites: () => void;
  /** Messages taken in receive-and-delete mode whose removal is not committed yet. */
  #owed = 0;
  #closed = false;
  /** The transfer at which the client was last asked for window. */
  #askedAt = -1;

  constructor(link: Sender, source: Source, beforeWrites: () => void) {
    this.#link = link;
    this.#source = source;
    this.#beforeWrites = beforeWrites;
    this.removes = linkInternals(link).local.attach.snd_settle_mode === 1;
    source.lane.addConsumer(this);
  }

  get session(): Session {
    return this.#link.session;
  }

  close(): void {
    this.#closed = true;
    this.#source.lane.removeConsumer(this);
  }

  requestPump(): void {
    this.#source.lane.requestPump();
  }

  room(): number {
    if (this.#closed || !this.#link.is_open()) return 0;
    const credit = linkInternals(this.#link).credit - this.#owed;
    if (credit <= 0) return 0;
    const { outgoing } = sessionInternals(this.session);
    if (outgoing.next_delivery_id > outgoing.next_pending_delivery) return 0;
    const room = Math.min(outgoing.deliveries.available() - this.#owed, outgoing.transfer_window());
    return Math.max(0, Math.min(credit, room));
  }

  /** Called when the session has written what it could and dropped what is settled: there may be room again. */
  sessionProcessed(): void {
    if (this.#source.lane.ready.length === 0) return;
    if (this.room() > 0) this.requestPump();
    else this.#askForWindow();
  }

  /**
   * A rhea client whose window ran out by the last transfers it got says nothing when it has room again, until
   * some frame makes it look; so each time its window is used up it gets a flow frame.
   */
  #askForWindow(): void {
    const internals = sessionInternals(this.session);
    const { outgoing } = internals;
    if (outgoing.transfer_window() > 0 || this.#askedAt === outgoing.next_transfer_id) return;
    this.#askedAt = outgoing.next_transfer_id;
    internals._write_flow();
  }

  take(message: StoredMessage, lock: Lock | undefined): void {
    const content = this.#source.store.takeContent(message);
    if (lock !== undefined) {
      const bytes = encodeDelivery({ ...message, lockedUntilMs: lock.expiresAtMs }, content);
      this.#beforeWrites();
      DELIVERED.set(this.#link.send(bytes, lock.tag, 0), { lock, queue: this.#source.queue });
      return;
    }
    const bytes = encodeDelivery(message, content);
    this.#owed += 1;
    this.#source.queue.journal.afterCommit(() => {
      this.#owed -= 1;
      if (this.#closed || !this.#link.is_open()) return;
      this.#beforeWrites();
      this.#link.send(bytes, newTag(), 0);
      if (this.#owed === 0) this.roundDone();
    });
  }

  /** Answers a drain once there is nothing more to send. */
  roundDone(): void {
    const link = linkInternals(this.#link);
    if (link._draining !== true || link.credit === 0 || this.#owed > 0 || this.#closed) return;
    if (this.room() > 0 && this.#source.lane.ready.length > 0) return;
    link.set_drained(true);
    connectionInternals(this.#link.connection)._register();
  }
}

interface Delivered {
  lock: Lock;
  queue: Queue;
}

/** Which lock a delivery carries. */
const DELIVERED = new WeakMap<object, Delivered>();

/**
 * Applies a client's outcome for a delivery and settles it, after the commit; what is refused (a lost lock)
 * is settled as rejected with the reason.
 */
export function settleDelivery(
  delivery: RheaDelivery,
  state: Typed | null | undefined,
  dispositions: Dispositions,
): void {
  const delivered = DELIVERED.get(delivery);
  if (delivered === undefined) return;
  const { lock, queue } = delivered;
  try {
    if (!applyOutcome(queue, lock, state)) return;
    queue.journal.afterCommit(() => dispositions.accept(delivery));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    queue.journal.afterCommit(() => dispositions.refuse(delivery, error));
  }
  DELIVERED.delete(delivery);
}
