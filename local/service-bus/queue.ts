import { writeText } from './encoding.ts';
import type { Journal } from './journal.ts';
import { Lane, type LaneOwner, type Lock } from './lane.ts';
import { type IncomingMessage, withApplicationProperties } from './message.ts';
import { limitsOf, type QueueDescription, type QueueLimits } from './queue-description.ts';
import { Refusal } from './refusal.ts';
import { SeenMessages } from './seen-messages.ts';
import type { Store, StoredMessage, StoredQueue } from './store.ts';

/** How long a queue waits at least between two looks at what is due. */
const LEAST_WAIT_MS = 20;
const MOST_WAIT_MS = 2 ** 31 - 1;

/** How many messages a queue holds, by state. */
export interface QueueCounts {
  active: number;
  deadLetter: number;
  scheduled: number;
  sizeBytes: number;
}

/** One queue with its dead-letter queue: the rules of a message's life, each step stored before it is told. */
export class Queue implements LaneOwner {
  readonly stored: StoredQueue;
  readonly main = new Lane(this, false);
  readonly deadLetter = new Lane(this, true);
  readonly #store: Store;
  readonly #scheduled = new Map<number, StoredMessage>();
  readonly #seen: SeenMessages;
  #limits: QueueLimits;
  #sizeBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #wakeAtMs = Infinity;

  constructor(store: Store, stored: StoredQueue) {
    this.#store = store;
    this.stored = stored;
    this.#limits = limitsOf(stored.description);
    this.#seen = new SeenMessages(store, stored.id);
    for (const message of store.loadMessages(stored.id)) {
      this.#sizeBytes += message.sizeBytes;
      if (message.scheduledAtMs !== undefined) this.#scheduled.set(message.sequence, message);
      else this.#lane(message).ready.insert(message);
    }
    this.#look();
  }

  get journal(): Journal {
    return this.#store.journal;
  }

  get name(): string {
    return this.stored.name;
  }

  lockMs(): number {
    return this.#limits.lockMs;
  }

  counts(): QueueCounts {
    return {
      active: this.main.ready.length + this.main.lockedCount,
      deadLetter: this.deadLetter.ready.length + this.deadLetter.lockedCount,
      scheduled: this.#scheduled.size,
      sizeBytes: this.#sizeBytes,
    };
  }

  /** Changes the queue's settings; messages that are there already keep their expiry. */
  update(description: QueueDescription, nowMs: number): void {
    Object.assign(this.stored, { description, updatedAtMs: nowMs });
    this.#limits = limitsOf(description);
    this.#store.updateQueue(this.stored);
  }

  /** Stops the clock; the queue is not used afterwards. */
  close(): void {
    clearTimeout(this.#timer);
    this.#wakeAtMs = -Infinity;
    for (const lane of [this.main, this.deadLetter]) {
      for (const message of lane.ready) this.#store.dropContent(message);
    }
  }

  /**
   * Stores messages, all or none; they are handed out after the commit. Duplicates are taken and dropped.
   * @returns each message's sequence number.
   * @throws Refusal when the queue is full.
   */
  send(messages: IncomingMessage[], nowMs: number): number[] {
    const bytes = messages.reduce((sum, message) => sum + sizeOf(message), 0);
    if (this.#sizeBytes + bytes > this.#limits.maxSizeBytes) {
      throw new Refusal(
        'amqp:resource-limit-exceeded',
        `The queue '${this.name}' has reached its size of ${this.stored.description.MaxSizeInMegabytes} MB. Receive messages from it, or raise MaxSizeInMegabytes.`,
      );
    }
    return messages.map((message) => this.#accept(message, nowMs));
  }

  #accept(incoming: IncomingMessage, nowMs: number): number {
    const sequence = this.#nextSequence();
    const windowMs = this.#limits.duplicateWindowMs;
    if (windowMs !== undefined && !this.#seen.isFirst(incoming.messageId, nowMs, windowMs)) return sequence;
    const scheduledAtMs =
      incoming.scheduledAtMs !== undefined && incoming.scheduledAtMs > nowMs
        ? incoming.scheduledAtMs
        : undefined;
    const ttlMs = smaller(incoming.ttlMs, this.#limits.defaultTtlMs);
    const message: StoredMessage = {
      id: 0,
      dead: false,
      sequence,
      enqueuedAtMs: nowMs,
      scheduledAtMs,
      expiresAtMs: scheduledAtMs === undefined && ttlMs !== undefined ? nowMs + ttlMs : undefined,
      deliveryCount: 0,
      durable: incoming.durable,
      priority: incoming.priority,
      ttlMs,
      messageId: incoming.messageId,
      sizeBytes: sizeOf(incoming),
      content: undefined,
    };
    this.#store.insertMessage(this.stored.id, message, incoming);
    this.#store.cacheContent(message, incoming);
    this.#sizeBytes += message.sizeBytes;
    if (scheduledAtMs === undefined) this.#putAfterCommit(message);
    else {
      this.#scheduled.set(sequence, message);
      this.wakeBy(scheduledAtMs);
    }
    return sequence;
  }

  #nextSequence(): number {
    this.#store.keepNextSequence(this.stored);
    return this.stored.nextSequence++;
  }

  /** Messages from a sequence number on, in any state, without locking them. */
  peek(dead: boolean, fromSequence: number, count: number): StoredMessage[] {
    return this.#store.peekMessages(this.stored.id, dead, fromSequence, count);
  }

  /** Removes scheduled messages, all or none. @throws Refusal when one is not scheduled (any more). */
  cancelScheduled(sequences: number[]): void {
    const messages = sequences.map((sequence) => {
      const message = this.#scheduled.get(sequence);
      if (message !== undefined) return message;
      throw new Refusal(
        'com.microsoft:message-not-found',
        `No scheduled message has the sequence number ${sequence}; it may have been enqueued already.`,
      );
    });
    for (const message of messages) {
      this.#scheduled.delete(message.sequence);
      if (this.#limits.duplicateWindowMs !== undefined) this.#seen.forget(message.messageId);
      this.remove(message);
    }
  }

  /** @throws Refusal when the lock is lost. */
  complete(lock: Lock): void {
    this.#unlock(lock);
    this.remove(lock.message);
  }

  /** Gives a message back; after too many failed deliveries it becomes a dead letter. @throws Refusal */
  abandon(lock: Lock, changes: Map<string, Buffer>): void {
    this.#unlock(lock);
    this.#change(lock.message, changes);
    this.#deliveryFailed(lock.message);
  }

  /** Gives a message back without counting the delivery. @throws Refusal */
  release(lock: Lock): void {
    this.#unlock(lock);
    lock.lane.put(lock.message);
  }

  /** Moves a message to the dead-letter queue; the changes hold its reason. @throws Refusal */
  deadLetterLocked(lock: Lock, changes: Map<string, Buffer>): void {
    if (lock.lane.dead) {
      throw new Refusal('amqp:not-allowed', 'A dead letter cannot be dead-lettered again; complete it.');
    }
    this.#unlock(lock);
    this.#moveToDeadLetters(lock.message, changes);
  }

  /** @throws Refusal when the lock is lost. */
  renew(lock: Lock, nowMs: number): number {
    lock.lane.renew(lock, nowMs);
    return lock.expiresAtMs;
  }

  #unlock(lock: Lock): void {
    if (!lock.lane.unlock(lock, Date.now())) throw lockLost();
  }

  #deliveryFailed(message: StoredMessage): void {
    if (!message.dead) {
      message.deliveryCount += 1;
      if (message.deliveryCount >= this.#limits.maxDeliveryCount) {
        const attempts = `Message could not be consumed after ${message.deliveryCount} delivery attempts.`;
        this.#moveToDeadLetters(message, reason('MaxDeliveryCountExceeded', attempts));
        return;
      }
      this.#store.updateMessage(message);
    }
    this.#lane(message).put(message);
  }

  #moveToDeadLetters(message: StoredMessage, changes: Map<string, Buffer>): void {
    this.#change(message, changes);
    Object.assign(message, { dead: true, expiresAtMs: undefined });
    this.#store.updateMessage(message);
    this.#putAfterCommit(message);
  }

  #change(message: StoredMessage, changes: Map<string, Buffer>): void {
    if (changes.size === 0) return;
    const content = this.#store.contentOf(message);
    this.#store.dropContent(message);
    this.#store.updateBare(message, withApplicationProperties(content.bare, changes));
  }

  #putAfterCommit(message: StoredMessage): void {
    this.journal.afterCommit(() => {
      this.#lane(message).put(message);
      if (message.expiresAtMs !== undefined) this.wakeBy(message.expiresAtMs);
    });
  }

  #lane(message: StoredMessage): Lane {
    return message.dead ? this.deadLetter : this.main;
  }

  remove(message: StoredMessage): void {
    this.#store.dropContent(message);
    this.#store.deleteMessage(message);
    this.#sizeBytes -= message.sizeBytes;
  }

  removeIfExpired(message: StoredMessage, nowMs: number): boolean {
    if (message.expiresAtMs === undefined || message.expiresAtMs > nowMs) return false;
    if (this.#limits.deadLetterOnExpiry) {
      this.#moveToDeadLetters(
        message,
        reason('TTLExpiredException', 'The message expired and was dead lettered.'),
      );
    } else {
      this.remove(message);
    }
    return true;
  }

  /** Makes sure that the queue looks at what is due no later than at this time. */
  wakeBy(atMs: number): void {
    if (atMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = atMs;
    clearTimeout(this.#timer);
    const waitMs = Math.min(Math.max(atMs - Date.now(), LEAST_WAIT_MS), MOST_WAIT_MS);
    this.#timer = setTimeout(() => this.#look(), waitMs).unref();
  }

  /** Enqueues what was scheduled for now, frees expired locks, and removes expired messages. */
  #look(): void {
    if (this.#wakeAtMs === -Infinity) return;
    const nowMs = Date.now();
    this.#wakeAtMs = Infinity;
    for (const message of this.#scheduled.values()) {
      if ((message.scheduledAtMs ?? 0) <= nowMs) this.#activate(message, nowMs);
    }
    for (const lane of [this.main, this.deadLetter]) {
      for (const message of lane.takeExpiredLocks(nowMs)) this.#deliveryFailed(message);
      this.wakeBy(lane.nextLockExpiryMs());
    }
    this.main.ready.removeWhere((message) => this.removeIfExpired(message, nowMs));
    this.wakeBy(this.#nextDueMs());
  }

  /** A scheduled message becomes active as if it were sent now, under a new sequence number. */
  #activate(message: StoredMessage, nowMs: number): void {
    this.#scheduled.delete(message.sequence);
    Object.assign(message, {
      sequence: this.#nextSequence(),
      enqueuedAtMs: nowMs,
      scheduledAtMs: undefined,
      expiresAtMs: message.ttlMs === undefined ? undefined : nowMs + message.ttlMs,
    });
    this.#store.updateMessage(message);
    this.#putAfterCommit(message);
  }

  #nextDueMs(): number {
    let next = Infinity;
    for (const message of this.#scheduled.values()) next = Math.min(next, message.scheduledAtMs ?? Infinity);
    for (const message of this.main.ready) next = Math.min(next, message.expiresAtMs ?? Infinity);
    return next;
  }
}

/** The refusal of a lock that is not held any more. */
export function lockLost(): Refusal {
  return new Refusal(
    'com.microsoft:message-lock-lost',
    'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.',
  );
}

function reason(name: string, description: string): Map<string, Buffer> {
  return new Map([
    ['DeadLetterReason', writeText(name)],
    ['DeadLetterErrorDescription', writeText(description)],
  ]);
}

function sizeOf(message: IncomingMessage): number {
  return message.bare.length + message.annotations.length;
}

function smaller(left: number | undefined, right: number | undefined): number | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return Math.min(left, right);
}
