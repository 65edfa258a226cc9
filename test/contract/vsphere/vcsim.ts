import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { TestServer } from './servers.ts';

const source = join(import.meta.dirname, '../../vcsim/main.go');
const cache = join(import.meta.dirname, '../../../node_modules/.cache/vcsim');
// Where Debian's golang-github-vmware-govmomi-dev puts the library.
const library = '/usr/share/gocode';

/** Why govmomi's simulator cannot be built here, or undefined when it can. */
export function whyNoVcsim(): string | undefined {
  if (spawnSync('go', ['version']).status !== 0) return 'go is not installed (Debian: golang-go)';
  if (existsSync(join(library, 'src/github.com/vmware/govmomi/simulator'))) return undefined;
  return 'govmomi is not installed (Debian: golang-github-vmware-govmomi-dev)';
}

/** Starts govmomi's simulator with the machines of test/vcsim/main.go, and plain ones up to the number wanted. */
export async function startVcsim(
  mode: 'vpx' | 'esx',
  account: { user: string; password: string },
  machines = 5,
): Promise<TestServer> {
  const program = await buildVcsim();
  // The simulator keeps its datastores there.
  const folder = await mkdtemp(join(tmpdir(), 'vcsim-'));
  const options = ['-machines', String(machines), ...(mode === 'esx' ? ['-esx'] : [])];
  const child = spawn(program, options, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: folder, VCSIM_USER: account.user, VCSIM_PASSWORD: account.password },
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  for await (const line of createInterface({ input: child.stdout })) {
    const { port } = JSON.parse(line) as { port: number };
    return {
      port,
      close: async () => {
        // not by its standard input: it would first answer whoever waits for changes
        child.kill();
        await exited;
        await rm(folder, { recursive: true, force: true });
      },
    };
  }
  throw new Error(`vcsim ended: ${errors}`);
}

/** Builds it once per content of its source; takes about 20 s. */
async function buildVcsim(): Promise<string> {
  const hash = createHash('sha256')
    .update(await readFile(source))
    .digest('hex');
  const program = join(cache, `vcsim-${hash.slice(0, 16)}`);
  const isBuilt = await access(program).then(
    () => true,
    () => false,
  );
  if (isBuilt) return program;
  await mkdir(cache, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: library, GOPROXY: 'off', GOFLAGS: '' };
  await promisify(execFile)('go', ['build', '-o', unfinished, source], { env });
  await rename(unfinished, program);
  return program;
}
