// Azurite keeps its state in LokiJS collections in memory. The journal keeps the same documents in SQLite:
// what changed since the last commit is written in one transaction, which is done before a response that
// could tell of the change leaves (response-gate.ts) and at the latest at the end of the event-loop turn.
// A transaction therefore holds whole turns of memory: where Azurite removes a document and inserts its
// successor, or applies an entity group transaction, SQLite has both or neither.
//
// Survives: the death of the process at any moment. A power cut may take the last commits (synchronous=NORMAL),
// never the consistency.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { deserialize, serialize } from 'node:v8';

/** A LokiJS document; everything else in it is Azurite's. `$loki` is unique in its collection, never 0. */
export type LokiDocument = { $loki: number };

/** A collection as it was at the last commit, its documents in order of their ids. */
export type JournaledCollection = { id: number; name: string; options: unknown; documents: LokiDocument[] };

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY, database TEXT NOT NULL, name TEXT NOT NULL, options BLOB NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS documents (
    collection INTEGER NOT NULL, id INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (collection, id)
  ) STRICT, WITHOUT ROWID;
`;

/** The documents of all collections of one data folder, as of the last commit. Only one process can hold it. */
export class Journal {
  readonly #database: DatabaseSync;
  readonly #statements: Record<
    'putCollection' | 'removeCollection' | 'put' | 'remove' | 'empty',
    StatementSync
  >;
  readonly #onFailure: (error: Error) => void;
  #nextCollectionId: number;
  #failure: Error | undefined;
  #scheduled = false;
  #closed = false;
  // What the next commit writes: by collection, the documents that changed (null: removed).
  readonly #changed = new Map<number, Map<number, LokiDocument | null>>();
  readonly #added = new Map<number, { database: string; name: string; options: unknown }>();
  readonly #removed = new Set<number>();
  readonly #emptied = new Set<number>();

  /**
   * @param folder where `journal.sqlite` is, made when missing
   * @param onFailure called once when a commit fails: nothing is acknowledged from then on
   * @throws when another process holds the journal, or it is not one
   */
  constructor(folder: string, onFailure: (error: Error) => void) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, 'journal.sqlite');
    this.#onFailure = onFailure;
    this.#database = new DatabaseSync(path);
    try {
      this.#database.exec(
        'PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 8000',
      );
      this.#database.exec(SCHEMA);
    } catch (error) {
      this.#database.close();
      throw openFailure(path, error);
    }
    const last = this.#database.prepare('SELECT coalesce(max(id), 0) AS id FROM collections').get();
    this.#nextCollectionId = Number(last?.['id'] ?? 0) + 1;
    const prepare = (sql: string): StatementSync => this.#database.prepare(sql);
    this.#statements = {
      putCollection: prepare('INSERT INTO collections (id, database, name, options) VALUES (?, ?, ?, ?)'),
      removeCollection: prepare('DELETE FROM collections WHERE id = ?'),
      put: prepare(
        'INSERT INTO documents (collection, id, body) VALUES (?, ?, ?) ' +
          'ON CONFLICT (collection, id) DO UPDATE SET body = excluded.body',
      ),
      remove: prepare('DELETE FROM documents WHERE collection = ? AND id = ?'),
      empty: prepare('DELETE FROM documents WHERE collection = ?'),
    };
  }

  /** The collections of one LokiJS database. */
  load(database: string): JournaledCollection[] {
    const collections = this.#database
      .prepare('SELECT id, name, options FROM collections WHERE database = ? ORDER BY id')
      .all(database);
    const documents = this.#database.prepare('SELECT body FROM documents WHERE collection = ? ORDER BY id');
    return collections.map((row) => ({
      id: Number(row['id']),
      name: String(row['name']),
      options: deserialize(row['options'] as Uint8Array),
      documents: documents
        .all(Number(row['id']))
        .map((document) => deserialize(document['body'] as Uint8Array) as LokiDocument),
    }));
  }

  /** Adds an empty collection; the returned id names it in the other calls. */
  addCollection(database: string, name: string, options: unknown): number {
    const id = this.#nextCollectionId++;
    this.#added.set(id, { database, name, options });
    this.#schedule();
    return id;
  }

  /** Removes a collection and all its documents. */
  removeCollection(collection: number): void {
    this.emptyCollection(collection);
    if (!this.#added.delete(collection)) this.#removed.add(collection);
  }

  /** Removes all documents of a collection. */
  emptyCollection(collection: number): void {
    this.#changed.delete(collection);
    this.#emptied.add(collection);
    this.#schedule();
  }

  /** Notes that a document was inserted or changed. It is read at the commit, so later changes of the turn count too. */
  put(collection: number, document: LokiDocument): void {
    this.#note(collection, document.$loki, document);
  }

  /** Notes that a document was removed. */
  remove(collection: number, id: number): void {
    this.#note(collection, id, null);
  }

  /**
   * Writes what was noted. Does nothing when there is nothing to write.
   * @throws when it could not be written, then and on every later call: memory is ahead of the disk for good
   */
  commit(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#scheduled) return;
    this.#scheduled = false;
    if (this.#closed) throw new Error('The storage journal is closed: nothing more is acknowledged');
    try {
      this.#database.exec('BEGIN IMMEDIATE');
      this.#write();
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#failure = new Error('The storage journal could not be written; storage takes no more requests', {
        cause: error,
      });
      this.#onFailure(this.#failure);
      throw this.#failure;
    }
    this.#changed.clear();
    this.#added.clear();
    this.#removed.clear();
    this.#emptied.clear();
  }

  /** Commits and lets go of the file. */
  close(): void {
    try {
      this.commit();
    } finally {
      this.#closed = true;
      this.#database.close();
    }
  }

  #note(collection: number, id: number, document: LokiDocument | null): void {
    let changed = this.#changed.get(collection);
    if (changed === undefined) this.#changed.set(collection, (changed = new Map()));
    changed.set(id, document);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      try {
        this.commit();
      } catch {
        // onFailure was told, or the journal was closed: the request that changed something gets no answer.
      }
    });
  }

  #write(): void {
    const { putCollection, removeCollection, put, remove, empty } = this.#statements;
    for (const collection of this.#emptied) empty.run(collection);
    for (const collection of this.#removed) removeCollection.run(collection);
    for (const [id, { database, name, options }] of this.#added) {
      putCollection.run(id, database, name, serialize(options));
    }
    for (const [collection, documents] of this.#changed) {
      for (const [id, document] of documents) {
        if (document === null) remove.run(collection, id);
        else put.run(collection, id, serialize(document));
      }
    }
  }
}

function openFailure(path: string, error: unknown): Error {
  const code = (error as { errcode?: number }).errcode;
  const busy = 5; // SQLITE_BUSY
  return code === busy
    ? new Error(`${path} is held by another storage process; stop that one first`, { cause: error })
    : new Error(`${path} cannot be opened as a storage journal; restore it, or remove the data folder`, {
        cause: error,
      });
}
