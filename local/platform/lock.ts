import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * Takes a data folder for this process. The operating system holds the lock (as SQLite's on `lock.sqlite`), so it ends
 * with the process, however that dies. `lock.pid` says who holds it.
 * @returns lets go of the folder
 * @throws when another platform runs on the folder
 */
export function lockDataFolder(dataFolder: string): () => void {
  mkdirSync(dataFolder, { recursive: true });
  chmodSync(dataFolder, 0o700);
  const pidPath = join(dataFolder, 'lock.pid');
  const database = new DatabaseSync(join(dataFolder, 'lock.sqlite'));
  try {
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    throw new Error(
      `A platform runs on ${dataFolder} already (process ${readPid(pidPath)}). ` +
        'Stop it, or start this one with another --data-folder.',
      { cause: error },
    );
  }
  writeFileSync(pidPath, `${process.pid}\n`, { mode: 0o600 });
  return () => database.close();
}

function readPid(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return 'unknown';
  }
}
