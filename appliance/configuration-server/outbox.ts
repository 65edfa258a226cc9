/**
 * Check-ins that must arrive: written before they are sent, removed after Service Bus took them. Each keeps the epoch
 * and sequence it was written with, so one sent twice (the answer got lost, the appliance was killed) is seen to be the
 * same. Heartbeats and progress are not kept here: only the newest of them counts.
 */
import type { CheckInBody } from '../../shared/wire/check-in.ts';
import type { Store } from './store.ts';

/** One check-in that waits to be sent. */
export interface OutboxEntry {
  id: number;
  epoch: number;
  sequence: number;
  body: CheckInBody;
}

/** Numbers what one start of the appliance sends. */
export class CheckInNumbers {
  readonly epoch: number;
  #sequence = 0;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  next(): { epoch: number; sequence: number } {
    this.#sequence += 1;
    return { epoch: this.epoch, sequence: this.#sequence };
  }
}

/** Keeps a check-in until it is sent. One of the same subject that still waits is replaced: only the newest counts. */
export function putOutbox(store: Store, subject: string, body: CheckInBody, numbers: CheckInNumbers): void {
  const { epoch, sequence } = numbers.next();
  store.db
    .prepare('INSERT OR REPLACE INTO outbox (subject, epoch, sequence, body) VALUES (?, ?, ?, ?)')
    .run(subject, epoch, sequence, JSON.stringify(body));
}

/** The oldest entry after another one, or undefined when nothing waits. */
export function findOutboxEntry(store: Store): OutboxEntry | undefined {
  const row = store.db.prepare('SELECT id, epoch, sequence, body FROM outbox ORDER BY id LIMIT 1').get();
  if (row === undefined) return undefined;
  return {
    id: Number(row['id']),
    epoch: Number(row['epoch']),
    sequence: Number(row['sequence']),
    body: JSON.parse(String(row['body'])) as CheckInBody, // written by putOutbox alone
  };
}

/** Removes what was sent; an entry that replaced it meanwhile has another id and stays. */
export function removeOutboxEntry(store: Store, id: number): void {
  store.db.prepare('DELETE FROM outbox WHERE id = ?').run(id);
}

export function countOutbox(store: Store): number {
  return Number(store.db.prepare('SELECT count(*) AS waiting FROM outbox').get()?.['waiting'] ?? 0);
}
