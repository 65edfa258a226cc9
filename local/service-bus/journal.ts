import type { DatabaseSync } from 'node:sqlite';

/** The store refused a write. What the broker holds in memory no longer matches it, so it has to stop. */
export class StoreFailure extends Error {}

/** Something that hands out messages once the turn's writes are on disk. */
export interface Pump {
  pump(): void;
}

/**
 * One transaction per turn of the event loop. Nothing that depends on a write is told to anyone before
 * `afterCommit` runs; pumps run last, so what a turn has stored is handed out in the same turn.
 */
export class Journal {
  readonly #database: DatabaseSync;
  #inTransaction = false;
  #scheduled = false;
  #closed = false;
  #beforeCommit = new Map<object, () => void>();
  #afterCommit: (() => void)[] = [];
  #pumps = new Set<Pump>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Runs a write inside this turn's transaction. @throws StoreFailure */
  write<T>(change: () => T): T {
    try {
      if (!this.#inTransaction) {
        this.#database.exec('BEGIN IMMEDIATE');
        this.#inTransaction = true;
      }
      return change();
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#schedule();
    }
  }

  /** Registers a write that is made once per transaction and owner, just before the commit. */
  beforeCommit(owner: object, change: () => void): void {
    this.#beforeCommit.set(owner, change);
  }

  /** Runs `act` once everything written so far is committed. */
  afterCommit(act: () => void): void {
    this.#afterCommit.push(act);
    this.#schedule();
  }

  /** Runs a pump at the end of this turn, once. */
  requestPump(pump: Pump): void {
    this.#pumps.add(pump);
    this.#schedule();
  }

  /** Commits what is open; afterwards nothing runs any more. */
  close(): void {
    this.#commit();
    this.#closed = true;
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    this.#commit();
    const acts = this.#afterCommit;
    this.#afterCommit = [];
    for (const act of acts) act();
    const pumps = this.#pumps;
    this.#pumps = new Set();
    for (const each of pumps) each.pump();
  }

  #commit(): void {
    if (!this.#inTransaction) return;
    try {
      for (const change of this.#beforeCommit.values()) change();
      this.#beforeCommit.clear();
      this.#database.exec('COMMIT');
      this.#inTransaction = false;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(cause: unknown): StoreFailure {
    if (cause instanceof StoreFailure) return cause;
    const file = this.#database.location() ?? 'in memory';
    return new StoreFailure(
      `The Service Bus store '${file}' could not be written; check the disk’s free space, then start again.`,
      { cause },
    );
  }
}
