import { closeSync, fdatasync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { syncFolder } from '../../shared/sync-folder.ts';

const datasync = promisify(fdatasync);

/**
 * An SQLite database. A write survives the process at once, and a power cut after the next `durable`, which keeps the
 * thread free while the disk works. Writes survive in the order in which they were made.
 */
export class DurableDatabase {
  readonly database: DatabaseSync;
  readonly #journal: number;
  readonly #writes = new Map<string, StatementSync>();
  #isDirty = true;
  #failure: Error | undefined;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;

  /** @param schema statements that make what is not there yet */
  constructor(path: string, schema: string) {
    closeSync(openSync(path, 'a', 0o600)); // its companions get the same mode
    this.database = new DatabaseSync(path);
    this.database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;');
    this.database.exec(schema);
    this.#journal = openSync(`${path}-wal`, 'r');
    syncFolder(dirname(path));
  }

  /** Resolves when all that was written before the call survives a power cut. Calls at the same time share one sync. */
  durable(): Promise<void> {
    // After a failed sync the kernel may have dropped the pages: nothing later can be promised either.
    if (this.#failure) return Promise.reject(this.#failure);
    if (!this.#isDirty) return this.#syncing ?? Promise.resolve();
    if (!this.#syncing) return this.#sync();
    // The one that runs may have begun before the caller's write.
    this.#nextSync ??= this.#syncing
      .catch(() => {}) // its own callers hear of it
      .then(() => {
        this.#nextSync = undefined;
        return this.#sync();
      });
    return this.#nextSync;
  }

  /** A statement that changes something; no other may be used for that. */
  write(sql: string): StatementSync {
    this.#isDirty = true;
    const statement = this.#writes.get(sql) ?? this.database.prepare(sql);
    this.#writes.set(sql, statement);
    return statement;
  }

  /** All of the work's writes, or none. */
  transaction<T>(work: () => T): T {
    this.database.exec('BEGIN IMMEDIATE');
    try {
      const result = work();
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.database.isTransaction) this.database.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    closeSync(this.#journal);
    this.database.close();
  }

  #sync(): Promise<void> {
    this.#isDirty = false;
    this.#syncing = datasync(this.#journal)
      .catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error(String(error));
        throw this.#failure;
      })
      .finally(() => {
        this.#syncing = undefined;
      });
    return this.#syncing;
  }
}
