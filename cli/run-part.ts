import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of this installation: the nearest above this file with a package.json. */
export function installationFolder(): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error(`There is no package.json above ${import.meta.dirname}`);
    folder = parent;
  }
  return folder;
}

/** The version of this installation. */
export function installedVersion(): string {
  const manifest = JSON.parse(readFileSync(join(installationFolder(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

/**
 * Runs an entry file of another part of Secondsite with this terminal, and takes over its exit code. The command line
 * imports none of them: an installation can lack some.
 * @param path the file's path in the installation, such as `local/cli.ts`
 * @param part what to call it when it is missing
 */
export async function runPart(path: string, part: string, args: string[]): Promise<void> {
  const file = findEntry(path);
  if (file === undefined) {
    process.stderr.write(`The ${part} is not part of this installation (${path} is missing).\n`);
    process.exitCode = 2;
    return;
  }
  const child = spawn(process.execPath, [file, ...args], { stdio: 'inherit' });
  // The terminal sends Ctrl-C to both; the child decides when it is over.
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', forward);
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/** The source, which Node runs as it is, or else the built file. */
function findEntry(path: string): string | undefined {
  const folder = installationFolder();
  const candidates = [join(folder, path), join(folder, 'dist', path.replace(/\.ts$/u, '.js'))];
  return candidates.find((candidate) => existsSync(candidate));
}
