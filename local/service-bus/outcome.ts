import type { Typed } from 'rhea';
import type { Lock } from './lane.ts';
import type { Queue } from './queue.ts';
import { Refusal } from './refusal.ts';
import { encodeValue } from './rhea-internals.ts';

/** Outcome descriptors (AMQP 1.0 part 3, section 3.4). */
const OUTCOME = { received: 0x23, accepted: 0x24, rejected: 0x25, released: 0x26, modified: 0x27 };

/**
 * Does to a locked message what its receiver decided.
 * @returns false when the state is not final.
 * @throws Refusal when the lock is lost or the outcome is not supported.
 */
export function applyOutcome(queue: Queue, lock: Lock, state: Typed | null | undefined): boolean {
  const fields = listItems(state);
  switch (Number(state?.descriptor?.value)) {
    case OUTCOME.accepted:
      queue.complete(lock);
      return true;
    case OUTCOME.released:
      queue.release(lock);
      return true;
    case OUTCOME.modified:
      if (fields[1]?.value === true) throw deferRefused();
      queue.abandon(lock, encodedEntries(fields[2]));
      return true;
    case OUTCOME.rejected:
      queue.deadLetterLocked(lock, encodedEntries(listItems(fields[0])[2]));
      return true;
    default:
      return false;
  }
}

/** Deferring is refused by name: nothing in this system defers messages. */
export function deferRefused(): Refusal {
  return new Refusal('amqp:not-implemented', 'not supported by the local Service Bus: deferring messages');
}

function listItems(list: Typed | null | undefined): Typed[] {
  return Array.isArray(list?.value) ? (list.value as Typed[]) : [];
}

/** A map's entries with their values encoded as they came; null values are left out. */
function encodedEntries(map: Typed | null | undefined): Map<string, Buffer> {
  const entries = new Map<string, Buffer>();
  const items = listItems(map);
  for (let index = 0; index + 1 < items.length; index += 2) {
    const [key, value] = [items[index], items[index + 1]];
    if (key === undefined || value === undefined || value.value === null) continue;
    entries.set(String(key.value), encodeValue(value));
  }
  return entries;
}
