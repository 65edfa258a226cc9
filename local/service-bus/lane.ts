import { randomFillSync } from 'node:crypto';
import type { Journal, Pump } from './journal.ts';
import { ReadyList } from './ready-list.ts';
import type { StoredMessage } from './store.ts';

/** A message held for one receiver. Locks are not stored: after a restart every message is free again. */
export interface Lock {
  /** The 16 bytes of the lock token, in the order in which delivery tags carry it (.NET's). */
  tag: Buffer;
  message: StoredMessage;
  lane: Lane;
  expiresAtMs: number;
}

/** Something that takes messages: one receiving link. */
export interface Consumer {
  /** Whether its messages are removed as they are handed out (receive-and-delete) rather than locked. */
  readonly removes: boolean;
  /** How many messages it can take now. */
  room(): number;
  /** Takes a message, with its lock unless the consumer removes. */
  take(message: StoredMessage, lock: Lock | undefined): void;
  /** Called after each round of handing out. */
  roundDone(): void;
}

/** What a lane needs from its queue. */
export interface LaneOwner {
  readonly journal: Journal;
  lockMs(): number;
  /** Removes the message if its time to live is over; true when it did. */
  removeIfExpired(message: StoredMessage, nowMs: number): boolean;
  remove(message: StoredMessage): void;
  wakeBy(atMs: number): void;
}

/** A queue's messages or its dead letters: who waits, who is locked, and who takes them. */
export class Lane implements Pump {
  readonly dead: boolean;
  readonly ready = new ReadyList<StoredMessage>();
  readonly #owner: LaneOwner;
  readonly #locks = new Map<string, Lock>();
  readonly #consumers = new Set<Consumer>();

  constructor(owner: LaneOwner, dead: boolean) {
    this.#owner = owner;
    this.dead = dead;
  }

  get lockedCount(): number {
    return this.#locks.size;
  }

  addConsumer(consumer: Consumer): void {
    this.#consumers.add(consumer);
  }

  removeConsumer(consumer: Consumer): void {
    this.#consumers.delete(consumer);
  }

  get consumers(): ReadonlySet<Consumer> {
    return this.#consumers;
  }

  /** Makes a message available to receivers, at its place in sequence order. */
  put(message: StoredMessage): void {
    this.ready.insert(message);
    if (this.#consumers.size > 0) this.requestPump();
  }

  requestPump(): void {
    this.#owner.journal.requestPump(this);
  }

  /** Hands out what is ready to whoever has room, one message each in turn. */
  pump(): void {
    const nowMs = Date.now();
    let takers = [...this.#consumers].map((consumer) => ({ consumer, room: consumer.room() }));
    takers = takers.filter(({ room }) => room > 0);
    let turn = 0;
    while (takers.length > 0) {
      const message = this.ready.shift();
      if (message === undefined) break;
      if (this.#owner.removeIfExpired(message, nowMs)) continue;
      const taker = takers[turn % takers.length];
      if (taker === undefined) break;
      this.#give(taker.consumer, message, nowMs);
      taker.room -= 1;
      if (taker.room > 0) turn += 1;
      else takers.splice(turn % takers.length, 1);
    }
    this.#rotateConsumers();
    for (const consumer of this.#consumers) consumer.roundDone();
  }

  /** Who came first goes last, so that single messages are spread over all receivers. */
  #rotateConsumers(): void {
    const [first] = this.#consumers;
    if (first === undefined || this.#consumers.size === 1) return;
    this.#consumers.delete(first);
    this.#consumers.add(first);
  }

  #give(consumer: Consumer, message: StoredMessage, nowMs: number): void {
    if (consumer.removes) {
      consumer.take(message, undefined);
      this.#owner.remove(message);
      return;
    }
    const tag = newTag();
    const lock: Lock = { tag, message, lane: this, expiresAtMs: nowMs + this.#owner.lockMs() };
    this.#locks.set(tag.toString('latin1'), lock);
    this.#owner.wakeBy(lock.expiresAtMs);
    consumer.take(message, lock);
  }

  /** The lock with this token, if it still holds. */
  findLock(tag: Buffer, nowMs: number): Lock | undefined {
    const lock = this.#locks.get(tag.toString('latin1'));
    return lock !== undefined && lock.expiresAtMs > nowMs ? lock : undefined;
  }

  /** Gives up a lock; false when it was lost already. */
  unlock(lock: Lock, nowMs: number): boolean {
    return this.findLock(lock.tag, nowMs) === lock && this.#locks.delete(lock.tag.toString('latin1'));
  }

  renew(lock: Lock, nowMs: number): void {
    lock.expiresAtMs = nowMs + this.#owner.lockMs();
    this.#owner.wakeBy(lock.expiresAtMs);
  }

  /** Takes away the locks whose time is over and returns their messages. */
  takeExpiredLocks(nowMs: number): StoredMessage[] {
    const expired = [...this.#locks].filter(([, lock]) => lock.expiresAtMs <= nowMs);
    for (const [key] of expired) this.#locks.delete(key);
    return expired.map(([, lock]) => lock.message);
  }

  /** When the next lock expires, if any is held. */
  nextLockExpiryMs(): number {
    let next = Infinity;
    for (const lock of this.#locks.values()) next = Math.min(next, lock.expiresAtMs);
    return next;
  }
}

let tagPool = Buffer.alloc(0);

/** A version 4 GUID in .NET's byte order. */
export function newTag(): Buffer {
  if (tagPool.length === 0) tagPool = randomFillSync(Buffer.allocUnsafeSlow(4096));
  const tag = tagPool.subarray(0, 16);
  tagPool = tagPool.subarray(16);
  tag[7] = ((tag[7] ?? 0) & 0x0f) | 0x40;
  tag[8] = ((tag[8] ?? 0) & 0x3f) | 0x80;
  return tag;
}
