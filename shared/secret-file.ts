import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { randomUUID } from 'node:crypto';

/**
 * Writes a file that only its owner may read, all or nothing: a reader sees the old content or the new one.
 */
export function writeSecretFile(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${randomUUID()}.tmp`;
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(file, typeof content === 'string' ? Buffer.from(content) : content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
