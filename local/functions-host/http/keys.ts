import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

import { writeSecretFile } from '../../../shared/secret-file.ts';

const HostKeys = z.object({
  /** Opens everything, the admin API too. */
  masterKey: z.string().min(16),
  /** By name; each opens every function of level `function`. */
  functionKeys: z.record(z.string(), z.string().min(16)),
  /** By extension; `durabletask` opens the management URLs of orchestrations. */
  systemKeys: z.record(z.string(), z.string().min(16)),
  /** By function name in lower case, then by key name. */
  functions: z.record(z.string(), z.record(z.string(), z.string().min(16))),
});

/** The keys of a host. */
export type HostKeys = z.infer<typeof HostKeys>;

/** Who may call: everybody, who has a key of the function or of the host, or who has the master key. */
export type AuthLevel = 'anonymous' | 'function' | 'admin';

function newKey(): string {
  return randomBytes(40).toString('base64url');
}

/** The keys of a data folder: read from `host-keys.json` there, made and written (mode 600) the first time. */
export function ensureHostKeys(dataFolder: string): HostKeys {
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const path = join(dataFolder, 'host-keys.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const made: HostKeys = {
      masterKey: newKey(),
      functionKeys: { default: newKey() },
      systemKeys: { durabletask: newKey() },
      functions: {},
    };
    writeSecretFile(path, `${JSON.stringify(made, null, 2)}\n`);
    return made;
  }
  try {
    return HostKeys.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`${path} is no file of host keys; restore it, or remove it to have new keys made`, {
      cause: error,
    });
  }
}

/** The key a request brings: the header beats the query. */
export function presentedKey(
  header: string | string[] | undefined,
  query: Map<string, string>,
): string | undefined {
  if (typeof header === 'string' && header !== '') return header;
  return [...query].find(([name]) => name.toLowerCase() === 'code')?.[1];
}

/** Says whether the key opens a function of that level. */
export function isKeyAccepted(
  keys: HostKeys,
  level: AuthLevel,
  functionName: string,
  key: string | undefined,
): boolean {
  if (level === 'anonymous') return true;
  if (key === undefined) return false;
  const accepted = [keys.masterKey];
  if (level === 'function') {
    accepted.push(...Object.values(keys.functionKeys));
    accepted.push(...Object.values(keys.functions[functionName.toLowerCase()] ?? {}));
  }
  return accepted.some((candidate) => isSameSecret(candidate, key));
}

/** Compares two secrets in a time that says nothing about them. */
export function isSameSecret(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
