/**
 * The appliance's log: one JSON object a line on standard error, which systemd keeps, and in a file where one was given.
 * One fixed sentence and an object of ids; never a secret, never a payload.
 */
import { appendFileSync, renameSync, statSync } from 'node:fs';
import { MiB } from '../shared/bytes.ts';

const fileLimitBytes = 8 * MiB;
let file: { path: string; bytes: number } | undefined;

export const log = {
  info: (sentence: string, ids: object = {}): void => write('info', sentence, ids),
  warn: (sentence: string, ids: object = {}): void => write('warn', sentence, ids),
  error: (sentence: string, ids: object = {}): void => write('error', sentence, ids),
};

/** Writes to a file too from now on. When it is full it becomes `<path>.1`, in place of the one before. */
export function keepLogIn(path: string): void {
  file = { path, bytes: statSync(path, { throwIfNoEntry: false })?.size ?? 0 };
}

function write(level: string, sentence: string, ids: object): void {
  const line = `${JSON.stringify({ time: new Date().toISOString(), level, sentence, ...ids })}\n`;
  process.stderr.write(line);
  if (file !== undefined) keep(file, line);
}

/** A full disk must not stop what the log is about. */
function keep(kept: { path: string; bytes: number }, line: string): void {
  try {
    if (kept.bytes > fileLimitBytes) {
      renameSync(kept.path, `${kept.path}.1`);
      kept.bytes = 0;
    }
    appendFileSync(kept.path, line, { mode: 0o600 });
    kept.bytes += Buffer.byteLength(line);
  } catch {
    return;
  }
}
