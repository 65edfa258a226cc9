import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Manifest } from '../appliance/service/product.ts';

/** What goes into a package. */
export interface PackageParts {
  name: Manifest['product'];
  title: string;
  /** Where it is installed, as in its Product. */
  folder: string;
  version: string;
  platform: string;
  /** Folder with the bundled files. */
  app: string;
  /** File in `app` that the command runs, and the words before the caller's. */
  command: { entry: string; words: string };
  /** The Node to run with. */
  runtime: string;
  /** Other files, by their place in the package. */
  files: Readonly<Record<string, string>>;
  /** 1 is quick, 9 small. */
  compression: number;
}

const scripts = import.meta.dirname;

/**
 * Builds one installer: a shell script with a tar.gz behind it.
 *
 * @returns the path of the file, `<name>-<version>-<platform>.run`
 */
export function buildPackage(parts: PackageParts, outFolder: string): string {
  const { name, version, platform } = parts;
  mkdirSync(outFolder, { recursive: true });
  const tree = join(outFolder, `.${name}-${version}-${process.pid}`);
  rmSync(tree, { recursive: true, force: true });
  try {
    layOut(parts, tree);
    const files = listFiles(tree);
    const unpackedKib = Math.ceil(files.reduce((sum, path) => sum + statSync(path).size, 0) / 1024);
    const payload = gzipSync(archive(tree), { level: parts.compression });
    const path = join(outFolder, `${name}-${version}-${platform}.run`);
    writeFileSync(path, Buffer.concat([headerFor(parts, payload, unpackedKib), payload]), { mode: 0o755 });
    return path;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function layOut(parts: PackageParts, tree: string): void {
  const { name, version, platform, app, command, runtime, files } = parts;
  cpSync(app, join(tree, 'app'), { recursive: true });
  writeFileSync(join(tree, 'app', 'package.json'), JSON.stringify({ name, version, type: 'module' }));
  mkdirSync(join(tree, 'runtime'));
  cpSync(runtime, join(tree, 'runtime', 'node'), { dereference: true });
  // Symbols are for debuggers: a seventh of the file.
  execFileSync('strip', [join(tree, 'runtime', 'node')]);
  mkdirSync(join(tree, 'bin'));
  const launcher = filled('launcher.sh', { ENTRY: command.entry, WORDS: command.words });
  writeFileSync(join(tree, 'bin', name), launcher, { mode: 0o755 });
  cpSync(join(scripts, 'supervise.sh'), join(tree, 'bin', 'supervise'));
  for (const [place, source] of Object.entries(files)) {
    mkdirSync(join(tree, place, '..'), { recursive: true });
    cpSync(source, join(tree, place));
  }
  const manifest: Manifest = { product: name, version, platform, build: hashOf(tree) };
  writeFileSync(join(tree, 'manifest.json'), JSON.stringify(manifest));
  for (const path of listFiles(tree))
    chmodSync(path, /\/(?:bin|runtime)\/[^/]+$/u.test(path) ? 0o755 : 0o644);
}

/** Equal trees give equal archives. */
function archive(tree: string): Buffer {
  const words = [
    '--sort=name',
    '--mtime=@0',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '-C',
    tree,
    '-cf',
    '-',
    '.',
  ];
  return execFileSync('tar', words, { maxBuffer: 1024 ** 3 });
}

/** The payload's place is part of the script before it: written with as many digits whatever it is. */
function headerFor(parts: PackageParts, payload: Buffer, unpackedKib: number): Buffer {
  const { name, title, version, platform, folder } = parts;
  const fill = (offset: number): Buffer =>
    Buffer.from(
      filled('header.sh', {
        NAME: name,
        TITLE: title,
        VERSION: version,
        PLATFORM: platform,
        FOLDER: folder,
        SHA256: createHash('sha256').update(payload).digest('hex'),
        UNPACKED_KIB: String(unpackedKib),
        OFFSET: String(offset),
      }),
    );
  // `tail -c +N` counts from one; a header of ten thousand bytes or less gives the same digits twice.
  const first = fill(9_999);
  const header = fill(first.length + 1);
  if (header.length !== first.length) throw new Error('The header of a package outgrew four digits.');
  return header;
}

function filled(script: string, values: Readonly<Record<string, string>>): string {
  return readFileSync(join(scripts, script), 'utf8').replaceAll(/@([A-Z0-9_]+)@/gu, (mark, key: string) => {
    const value = values[key];
    if (value === undefined) throw new Error(`${script} has ${mark}, for which there is no value.`);
    return value;
  });
}

function hashOf(tree: string): string {
  const hash = createHash('sha256');
  for (const path of listFiles(tree))
    hash.update(relative(tree, path)).update('\0').update(readFileSync(path));
  return hash.digest('hex').slice(0, 12);
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}
