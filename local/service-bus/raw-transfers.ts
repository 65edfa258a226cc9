import type { Receiver, Session } from 'rhea';
import { sessionInternals } from './rhea-internals.ts';

/** Stands in for message format 0, so that rhea hands over the bytes instead of decoding them. */
const RAW_FORMAT = 1;

/**
 * Makes a session hand over messages as bytes. Of a message larger than `maxBytes` the rest is thrown away as
 * it arrives and its receiver noted in `oversized` until the message is complete.
 */
export function takeRawTransfers(session: Session, maxBytes: number, oversized: WeakSet<Receiver>): void {
  const internals = sessionInternals(session);
  const take = internals.on_transfer.bind(session);
  const receivedBytes = new WeakMap<Receiver, number>();
  internals.on_transfer = (frame) => {
    const { performative } = frame;
    if (performative.message_format === 0) performative.message_format = RAW_FORMAT;
    const receiver = internals._get_link(frame);
    const total = (receivedBytes.get(receiver) ?? 0) + (frame.payload?.length ?? 0);
    if (total > maxBytes) {
      oversized.add(receiver);
      frame.payload = Buffer.alloc(0);
    }
    receivedBytes.set(receiver, performative.more === true ? total : 0);
    take(frame);
  };
}
