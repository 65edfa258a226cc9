/**
 * The configuration server's store: one SQLite file in the data folder, which only its owner may enter. A commit is on
 * the disk before it returns (synchronous=FULL), so what was written survives kill -9 and a power cut. Secrets in it are
 * sealed (secret-box.ts). What is stored about a noun is in that noun's file.
 */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { SecretBox } from './secret-box.ts';

/** The open store. */
export interface Store {
  readonly dataFolder: string;
  readonly db: DatabaseSync;
  readonly box: SecretBox;
}

/** A row as SQLite gives it. */
export type Row = Record<string, SQLOutputValue>;

const migrations = [
  `CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE secret (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
   CREATE TABLE account (
     id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE COLLATE NOCASE,
     userName TEXT NOT NULL, sealedPassword BLOB NOT NULL) STRICT;
   CREATE TABLE vcenter (
     name TEXT PRIMARY KEY COLLATE NOCASE, address TEXT NOT NULL, port INTEGER NOT NULL,
     accountId INTEGER NOT NULL REFERENCES account(id), fingerprint TEXT, product TEXT, machines INTEGER,
     lastSuccessMs INTEGER, fault TEXT, failingSinceMs INTEGER) STRICT;
   CREATE TABLE command (
     id TEXT PRIMARY KEY, body TEXT NOT NULL, receivedAtMs INTEGER NOT NULL,
     result TEXT, finishedAtMs INTEGER) STRICT;
   CREATE INDEX commandByEnd ON command (finishedAtMs);
   CREATE TABLE outbox (
     id INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL UNIQUE,
     epoch INTEGER NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL) STRICT;`,
  `ALTER TABLE account ADD COLUMN sealedPrivateKey BLOB;
   ALTER TABLE account ADD COLUMN sshPort INTEGER NOT NULL DEFAULT 22;
   CREATE TABLE hostKey (host TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, firstSeenMs INTEGER NOT NULL) STRICT;`,
];

/** Whether a data folder has a store. */
export function storeExists(dataFolder: string): boolean {
  return existsSync(join(dataFolder, storeFileName));
}

/** Name of the SQLite file in the data folder. */
export const storeFileName = 'configuration.db';

/**
 * Opens the store of a data folder; makes both where they are missing (folder 700, files 600).
 *
 * @throws Error when a newer version of Secondsite wrote it, or its key file is gone.
 */
export function openStore(dataFolder: string): Store {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  chmodSync(dataFolder, 0o700);
  const path = join(dataFolder, storeFileName);
  closeSync(openSync(path, 'a', 0o600));
  const db = new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: 5_000 });
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON');
    migrate(db, path);
    const sealedBefore = db.prepare('SELECT 1 FROM secret UNION ALL SELECT 1 FROM account LIMIT 1').get();
    const box = SecretBox.open(join(dataFolder, 'store.key'), sealedBefore === undefined);
    return { dataFolder, db, box };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Runs writes as one: all of them are on the disk afterwards, or none. */
export function inTransaction<T>(store: Store, run: () => T): T {
  store.db.exec('BEGIN IMMEDIATE');
  try {
    const result = run();
    store.db.exec('COMMIT');
    return result;
  } catch (error) {
    store.db.exec('ROLLBACK');
    throw error;
  }
}

/** A plain setting, or undefined when it was never set. */
export function findSetting(store: Store, name: string): string | undefined {
  const row = store.db.prepare('SELECT value FROM setting WHERE name = ?').get(name);
  return row === undefined ? undefined : String(row['value']);
}

export function putSetting(store: Store, name: string, value: string): void {
  store.db
    .prepare(
      'INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    )
    .run(name, value);
}

export function removeSetting(store: Store, name: string): void {
  store.db.prepare('DELETE FROM setting WHERE name = ?').run(name);
}

/** A secret in the clear, or undefined when it was never put. */
export function findSecret(store: Store, name: string): string | undefined {
  const row = store.db.prepare('SELECT sealed FROM secret WHERE name = ?').get(name);
  return row === undefined ? undefined : store.box.open(name, row['sealed'] as Uint8Array);
}

export function putSecret(store: Store, name: string, text: string): void {
  store.db
    .prepare(
      'INSERT INTO secret (name, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed',
    )
    .run(name, store.box.seal(name, text));
}

function migrate(db: DatabaseSync, path: string): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > migrations.length) {
    throw new Error(
      `${path} was written by a newer version of Secondsite: install that version or a later one`,
    );
  }
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue;
    db.exec(`BEGIN IMMEDIATE; ${migration}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}
