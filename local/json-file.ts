import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';

import { writeSecretFile } from '../shared/secret-file.ts';

/**
 * The content of a JSON file that only its owner may read. A missing one is made.
 * @throws when the file is there and does not fit the schema: it is never overwritten
 */
export function ensureJsonFile<T>(path: string, schema: z.ZodType<T>, make: () => T): T {
  const present = readJsonFile(path, schema);
  if (present !== undefined) return present;
  const made = make();
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeSecretFile(path, `${JSON.stringify(made, null, 2)}\n`);
  return made;
}

/**
 * The content of a JSON file, undefined when there is none.
 * @throws when it does not fit the schema
 */
export function readJsonFile<T>(path: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${path} is not what it should be; restore it, or remove its folder to start afresh`, {
      cause: error,
    });
  }
}
