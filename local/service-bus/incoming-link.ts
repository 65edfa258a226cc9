import type { EventContext, Receiver } from 'rhea';
import type { Dispositions } from './dispositions.ts';
import { MalformedEncoding } from './encoding.ts';
import { readBatch, readMessage } from './message.ts';
import type { Queue } from './queue.ts';
import { Refusal } from './refusal.ts';
import { linkInternals, type RheaDelivery } from './rhea-internals.ts';

/** The Standard tier's limit for a message and for a batch. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

/** The message format of a batch envelope. */
const BATCH_FORMAT = 0x80013700;
const CREDIT = 1000;

/** Keeps a sending client supplied with credit. */
export function grantCredit(link: Receiver): void {
  const { credit } = linkInternals(link);
  if (credit <= CREDIT / 2) link.add_credit(CREDIT - credit);
}

/** Stores what a client sent and settles the delivery after the commit; what cannot be stored is rejected. */
export function receiveMessages(
  queue: Queue,
  { receiver, delivery, message }: EventContext,
  isOversized: boolean,
  dispositions: Dispositions,
): void {
  if (receiver === undefined || delivery === undefined) return;
  grantCredit(receiver);
  const settling = delivery as unknown as RheaDelivery;
  try {
    if (isOversized) throw tooLarge();
    const bytes = message as unknown as Buffer;
    const isBatch = delivery.format === BATCH_FORMAT;
    queue.send(isBatch ? readBatch(bytes) : [readMessage(bytes)], Date.now());
    queue.journal.afterCommit(() => dispositions.accept(settling));
  } catch (error) {
    dispositions.refuse(settling, asRefusal(error));
  }
}

function tooLarge(): Refusal {
  return new Refusal(
    'amqp:link:message-size-exceeded',
    `The message exceeds the limit of ${MAX_MESSAGE_BYTES} bytes. Send less at once, or pass the content by reference (claim check).`,
  );
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof MalformedEncoding || error instanceof RangeError) {
    return new Refusal('amqp:decode-error', `The message is not valid AMQP: ${error.message}.`);
  }
  throw error;
}
