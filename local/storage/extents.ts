import { mkdirSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

import type { Journal } from './journal.ts';

/**
 * Removes the extent files (Azurite's files of blob and message content) that no metadata names: what was being
 * written when the process was killed. Azurite never appends to an extent of an earlier run, and names an extent in
 * its metadata once its content is on disk, so the others are whole.
 */
export function removeTornExtents(folder: string, journal: Journal, database: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const known = new Set(
    journal
      .load(database)
      .flatMap((collection) => collection.documents)
      .map((extent) => (extent as unknown as { id: string }).id),
  );
  for (const name of readdirSync(folder)) {
    if (!known.has(name)) unlinkSync(join(folder, name));
  }
}
