import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DomainError } from '../../shared/fault.ts';

/**
 * Makes sure that one process at a time works on a data folder, by a lock that the kernel drops with the process:
 * nothing is left behind by kill -9.
 *
 * @returns what gives the folder free again
 * @throws DomainError Conflict when another process has it.
 */
export function takeDataFolder(dataFolder: string): () => void {
  const path = join(dataFolder, 'run.lock');
  closeSync(openSync(path, 'a', 0o600));
  const db = new DatabaseSync(path, { timeout: 0 });
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    throw new DomainError(
      {
        code: 'Conflict',
        message: `Another appliance process is working in ${dataFolder}.`,
        recommendedAction: 'Stop it first, or use another data folder.',
      },
      { cause: error },
    );
  }
  return () => db.close();
}

/** Whether a process works on a data folder. */
export function isDataFolderTaken(dataFolder: string): boolean {
  if (!existsSync(join(dataFolder, 'run.lock'))) return false;
  try {
    takeDataFolder(dataFolder)();
    return false;
  } catch (error) {
    if (error instanceof DomainError) return true;
    throw error;
  }
}
