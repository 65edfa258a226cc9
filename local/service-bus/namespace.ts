import { Queue } from './queue.ts';
import {
  checkQueueName,
  DEFAULT_DESCRIPTION,
  describeQueue,
  type QueueDescription,
} from './queue-description.ts';
import { Refusal } from './refusal.ts';
import { entityPath } from './sas.ts';
import type { Store } from './store.ts';

/** The namespace: its queues by name. */
export class Namespace {
  readonly store: Store;
  readonly #queues = new Map<string, Queue>();
  readonly #onDelete: ((queue: Queue) => void)[] = [];

  constructor(store: Store) {
    this.store = store;
    for (const stored of store.loadQueues()) {
      this.#queues.set(stored.name.toLowerCase(), new Queue(store, stored));
    }
  }

  /** Stops all queues' clocks; the store is closed by whoever opened it. */
  close(): void {
    for (const queue of this.#queues.values()) queue.close();
  }

  find(name: string): Queue | undefined {
    return this.#queues.get(name.toLowerCase());
  }

  /** All queues, by name. */
  list(): Queue[] {
    return [...this.#queues.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** @throws InvalidDescription for a name the service would not take. */
  create(name: string, description: QueueDescription): Queue {
    checkQueueName(name);
    const queue = new Queue(this.store, this.store.insertQueue(name, description, Date.now()));
    this.#queues.set(name.toLowerCase(), queue);
    return queue;
  }

  /** Makes the queue with these settings unless there is one of that name already, which stays as it is. */
  ensure(name: string, settings: Record<string, string>): Queue {
    return this.find(name) ?? this.create(name, describeQueue(settings, DEFAULT_DESCRIPTION));
  }

  /** Deletes the queue with all its messages. */
  delete(queue: Queue): void {
    queue.close();
    this.#queues.delete(queue.name.toLowerCase());
    this.store.deleteQueue(queue.stored.id);
    for (const act of this.#onDelete) act(queue);
  }

  /** Calls `act` whenever a queue is deleted. */
  onDelete(act: (queue: Queue) => void): void {
    this.#onDelete.push(act);
  }
}

/** What an address names. */
export type Node =
  | { kind: 'cbs' }
  | { kind: 'queue'; queue: Queue; dead: boolean; path: string }
  | { kind: 'management'; queue: Queue; dead: boolean; path: string };

const MANAGEMENT = '/$management';
const DEAD_LETTERS = '/$deadletterqueue';

/**
 * Resolves a link's address.
 * @throws Refusal when there is no such queue and for what this broker does not have.
 */
export function resolveNode(namespace: Namespace, address: string): Node {
  const path = entityPath(address);
  if (path === '$cbs') return { kind: 'cbs' };
  if (path.includes('/subscriptions/') || path.endsWith('/$transfer/$deadletterqueue')) {
    throw new Refusal(
      'amqp:not-implemented',
      `not supported by the local Service Bus: '${address}' (topics)`,
    );
  }
  const isManagement = path.endsWith(MANAGEMENT);
  const entity = isManagement ? path.slice(0, -MANAGEMENT.length) : path;
  const dead = entity.endsWith(DEAD_LETTERS);
  const queue = namespace.find(dead ? entity.slice(0, -DEAD_LETTERS.length) : entity);
  if (queue === undefined) throw entityNotFound(address);
  return { kind: isManagement ? 'management' : 'queue', queue, dead, path };
}

/** The refusal of an entity that does not exist, in the words by which the SDK recognises it. */
export function entityNotFound(address: string): Refusal {
  return new Refusal('amqp:not-found', `The messaging entity '${address}' could not be found.`);
}
