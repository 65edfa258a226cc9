import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import type { LoopDisk } from './loop-disk.ts';
import { logLine } from './writer.ts';

/**
 * Looks at copies of an ext4 and an xfs disk that `writer.ts` wrote to, as their machine would after a restart, and
 * deletes them: what is wrong with them, and how far the writers had come.
 */
export function inspectCopies(one: LoopDisk, other: LoopDisk): { defects: string[]; progress: number } {
  const defects = checkFileSystem('ext4', one.path);
  const folders = [one.mount(), other.mount(['-o', 'nouuid'])] as const;
  defects.push(...findDefects(...folders));
  const progress = progressOf(folders[0]);
  other.unmount();
  defects.push(...checkFileSystem('xfs', other.path));
  for (const copy of [one, other]) {
    copy.close();
    rmSync(copy.image);
  }
  return { defects, progress };
}

/** What is wrong with the copies of the two file systems that `writer.ts` wrote to; empty when nothing is. */
function findDefects(one: string, other: string): string[] {
  const seeds = new Set(
    [one, other].flatMap((folder) =>
      readdirSync(folder).flatMap((name) => /^token-(?<seed>\d+)$/u.exec(name)?.groups?.['seed'] ?? []),
    ),
  );
  return [
    ...[...seeds].flatMap((seed) => [...checkTokens(one, other, seed), ...checkPages(one, other, seed)]),
    ...[one, other].flatMap(checkFiles),
  ];
}

/** How far the writers had come in the copies. */
function progressOf(one: string): number {
  const tokens = readdirSync(one).filter((name) => name.startsWith('token-'));
  return tokens.reduce((sum, name) => sum + tokenIn(one, name), 0);
}

/** Runs a file system's own check, which may repair nothing. */
function checkFileSystem(type: 'ext4' | 'xfs', device: string): string[] {
  const [program, words] =
    type === 'ext4' ? (['e2fsck', ['-f', '-n', device]] as const) : (['xfs_repair', ['-n', device]] as const);
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  return status === 0 ? [] : [`${program} ended with ${status}: ${stdout}${stderr}`];
}

function checkTokens(one: string, other: string, seed: string): string[] {
  const [first, second] = [tokenIn(one, `token-${seed}`), tokenIn(other, `token-${seed}`)];
  const defects: string[] = [];
  if (first !== second && first !== second + 1)
    defects.push(`token ${seed} is ${first} in one and ${second} in the other: not one moment`);
  const lines = read(Number(seed) % 2 === 0 ? one : other, `log-${seed}`)
    .toString('latin1')
    .split('\n');
  const whole = lines.slice(0, -1);
  if (whole.length < first) defects.push(`log ${seed} has ${whole.length} lines, its token is ${first}`);
  const wrong = whole.findIndex((line, at) => `${line}\n` !== logLine(at + 1));
  // What was not yet durable may be anything.
  if (wrong >= 0 && wrong < first) defects.push(`log ${seed} is wrong in line ${wrong + 1} of ${first}`);
  return defects;
}

/** A frozen file system wrote everything back before: no page is torn, none is elsewhere. */
function checkPages(one: string, other: string, seed: string): string[] {
  const bytes = read(Number(seed) % 2 === 0 ? other : one, `pages-${seed}`);
  const defects: string[] = [];
  for (let page = 0; (page + 1) * 4096 <= bytes.length; page += 1) {
    const [digest, body] = [
      bytes.subarray(page * 4096, page * 4096 + 32),
      bytes.subarray(page * 4096 + 32, (page + 1) * 4096),
    ];
    if (body.every((byte) => byte === 0)) continue; // never written
    const isRight =
      createHash('sha256').update(body).digest().equals(digest) && body.readUInt32LE(0) === page;
    if (!isRight) defects.push(`page ${page} of pages-${seed} is not what was written`);
  }
  return defects;
}

function checkFiles(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const digest = /^file-\d+-\d+-(?<digest>[0-9a-f]{64})$/u.exec(name)?.groups?.['digest'];
    if (digest === undefined) return [];
    const found = createHash('sha256')
      .update(readFileSync(join(folder, name)))
      .digest('hex');
    return found === digest ? [] : [`${name} has other content than its name says`];
  });
}

function tokenIn(folder: string, name: string): number {
  return Number(read(folder, name).toString('latin1').trim() || '0');
}

function read(folder: string, name: string): Buffer {
  try {
    return readFileSync(join(folder, name));
  } catch {
    return Buffer.alloc(0);
  }
}
