/**
 * A program that keeps writing to two file systems, in ways whose order shows in a copy of both: `writer.ts ONE OTHER SEED`.
 *
 * - `token`: a number goes to ONE, durably, then to OTHER, durably, then the next to ONE. A copy of one moment has the
 *   same number in both, or one more in ONE.
 * - `log`: line N, with its own checksum, is durable before the token is N. A copy has every line up to its token.
 * - `files`: a file gets its final name, which has the checksum of its content, when that is durable. A copy's named
 *   files are whole.
 * - `pages`: pages of a file are overwritten in place; each says its number and checksum.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const filesKept = 24;
const pageBytes = 4096;
export const pagesInFile = 2048;

/** A line of the log. */
export function logLine(number: number): string {
  const text = `line ${String(number).padStart(10, '0')} `;
  return `${text}${createHash('sha256').update(text).digest('hex').slice(0, 16)}\n`;
}

/** A page: its checksum, its number, noise. */
export function makePage(number: number): Buffer {
  const body = randomBytes(pageBytes - 32);
  body.writeUInt32LE(number, 0);
  return Buffer.concat([createHash('sha256').update(body).digest(), body]);
}

interface Files {
  one: string;
  other: string;
  seed: number;
}

function main({ one, other, seed }: Files): never {
  const flags = constants.O_RDWR | constants.O_CREAT;
  const tokens = [one, other].map((folder) => openSync(join(folder, `token-${seed}`), flags));
  const log = openSync(join(seed % 2 === 0 ? one : other, `log-${seed}`), flags | constants.O_APPEND);
  const pages = openSync(join(seed % 2 === 0 ? other : one, `pages-${seed}`), flags);
  for (let number = 1; ; number += 1) {
    writeSync(log, logLine(number));
    fdatasyncSync(log);
    for (const token of tokens) {
      writeSync(token, Buffer.from(String(number).padStart(512)), 0, 512, 0);
      fdatasyncSync(token);
    }
    for (let at = 0; at < 24; at += 1) {
      const page = (number * 7919 + at * 104_729) % pagesInFile;
      writeSync(pages, makePage(page), 0, pageBytes, page * pageBytes);
    }
    writeFile(number % 2 === 0 ? one : other, seed, number);
  }
}

const kept: string[] = [];

function writeFile(folder: string, seed: number, number: number): void {
  const content = randomBytes(1 + ((number * 40_503) % 300_000));
  const digest = createHash('sha256').update(content).digest('hex');
  const path = join(folder, `file-${seed}-${number}-${digest}`);
  const file = openSync(`${path}.part`, 'w');
  writeSync(file, content);
  fsyncSync(file);
  closeSync(file);
  renameSync(`${path}.part`, path);
  kept.push(path);
  const oldest = kept.length > filesKept ? kept.shift() : undefined;
  if (oldest !== undefined) rmSync(oldest);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [, , one = '', other = '', seed = '0'] = process.argv;
  main({ one, other, seed: Number(seed) });
}
