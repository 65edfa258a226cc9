import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

/** Secondsite's version here: that of the nearest package.json above, built or not. */
export const version = readVersion(import.meta.dirname);

function readVersion(folder: string): string {
  const path = join(folder, 'package.json');
  if (existsSync(path))
    return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(path, 'utf8'))).version;
  if (folder === dirname(folder)) throw new Error('There is no package.json above this file');
  return readVersion(dirname(folder));
}
