import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { MiB } from '../../shared/bytes.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeDiskImage } from '../../local/demo/disk-image.ts';
import { openReplicaLog } from '../../local/demo/proof.ts';
import { type LocalConfig, readConfig } from '../../local/platform/config.ts';

const main = resolve(import.meta.dirname, '..', '..', 'local', 'demo', 'main.ts');
let folder: string;
let disk: string;
let demo: ChildProcess;
let complaints = '';
const lines: Record<string, unknown>[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'secondsite-demo-'));
  disk = join(folder, 'mine.raw');
  // Not a whole number of blocks: any multiple of 512 is a disk.
  makeDiskImage(disk, 24 * MiB + 3 * 512, 'mine');
  demo = spawn(
    process.execPath,
    [main, '--json', '--keep', '--disk', disk, '--data-folder', join(folder, 'demo')],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  demo.stderr?.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  for await (const line of createInterface({ input: demo.stdout! })) {
    lines.push(JSON.parse(line) as Record<string, unknown>);
    if (lines.at(-1)?.['keep'] === true) break;
  }
}, 180_000);

afterAll(async () => {
  if (demo.exitCode === null) {
    demo.kill('SIGTERM');
    await once(demo, 'close');
  }
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

function step(name: string): Record<string, unknown> {
  const found = lines.find((line) => line['step'] === name);
  if (!found) throw new Error(`no step ${name} in ${JSON.stringify(lines)}; ${complaints}`);
  return found;
}

test('one command protects a disk of any size and proves both its points', () => {
  expect(lines.filter(({ outcome = 'done' }) => outcome !== 'done')).toEqual([]);
  expect(step('Finalize protection')).toMatchObject({
    protectionState: 'Protected',
    replicationHealth: 'Normal',
  });
  expect(step('Restore point 1')).toMatchObject({ identical: true, vhdBytes: 24 * MiB + 4 * 512 });
  expect(step('Restore point 2')).toMatchObject({ identical: true });
  expect(step('demo')).toMatchObject({ outcome: 'done' });
});

test("enabling replication goes through Site Recovery's five tasks, in order", () => {
  const tasks = lines
    .filter((line) => 'task' in line && line['state'] === 'Succeeded')
    .map((line) => line['task']);
  expect(tasks.slice(0, 5)).toEqual([
    'Prerequisites check for enabling protection',
    'Installing Mobility Service and preparing target',
    'Enable replication',
    'Starting initial replication',
    'Updating the provider states',
  ]);
});

test('the second point uploads little more than what changed', () => {
  const { changedBytes, uploadedBytes } = step('Second recovery point') as Record<string, number>;
  expect(uploadedBytes).toBeLessThanOrEqual(changedBytes! * 1.05 + 64 * 1024);
});

test("the user's own disk image is not written to", () => {
  const again = join(folder, 'again.raw');
  makeDiskImage(again, statSync(disk).size, 'mine');
  expect(readFileSync(disk).equals(readFileSync(again))).toBe(true);
});

test('no secret is in any log, table, message or blob in the clear', async () => {
  const config = readConfig(join(folder, 'demo', 'platform'));
  if (!config) throw new Error('the platform wrote no configuration');
  const secrets = await secretsOf(config);
  const searched = filesIn(join(folder, 'demo')).filter(
    (path) => !isKeyFile(relative(join(folder, 'demo'), path)),
  );
  expect(searched.some((path) => path.endsWith('functions-host.log'))).toBe(true);
  expect(searched.length).toBeGreaterThan(20);
  const found: string[] = [];
  for (const path of searched) {
    const bytes = readFileSync(path);
    for (const [name, secret] of secrets) if (bytes.includes(secret)) found.push(`${name} in ${path}`);
  }
  expect(found).toEqual([]);
}, 60_000);

test.each([
  ['is missing', () => join(folder, 'nowhere.raw'), 'there is no such file'],
  ['is empty', () => fileOf('empty.raw', 0), 'it is empty'],
  ['is not whole sectors', () => fileOf('odd.raw', 1000), 'is not a multiple of 512'],
  ['is a folder', () => folder, 'it is not a file'],
])('a disk that %s is refused before anything starts', (_name, path, reason) => {
  const run = spawnSync(
    process.execPath,
    [main, '--disk', path(), '--data-folder', join(folder, 'refused')],
    {
      encoding: 'utf8',
    },
  );
  expect(run.stderr).toContain(reason);
  expect(run.status).toBe(2);
  expect(readdirSync(folder)).not.toContain('refused');
});

function fileOf(name: string, sizeBytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, '');
  truncateSync(path, sizeBytes);
  return path;
}

/** Everything that must stay secret, in the forms it could be written down in. */
async function secretsOf(config: LocalConfig): Promise<[name: string, secret: Buffer | string][]> {
  const demoFolder = join(folder, 'demo');
  const inventory = readJson(join(demoFolder, 'vcenter.json')) as { account: { password: string } };
  const vaultKey = readJson(config.vaultKeyPath) as { wrapping: string; signing: { d: string } };
  const tokenKey = readJson(join(config.dataFolder, 'token-key.json')) as { d: string };
  const { dataKey } = await openReplicaLog(config, readContainerName());
  return [
    ['vCenter password', inventory.account.password],
    ['passphrase', readFileSync(join(demoFolder, 'passphrase'), 'utf8').trim()],
    ['wrapping key', vaultKey.wrapping],
    ['wrapping key, raw', Buffer.from(vaultKey.wrapping, 'base64')],
    ['vault signing key', vaultKey.signing.d],
    ['token key', tokenKey.d],
    ['storage key', keyIn(config.storageConnectionString, 'AccountKey')],
    ['service bus key', keyIn(config.serviceBusConnectionString, 'SharedAccessKey')],
    ['data key, base64', Buffer.from(dataKey).toString('base64')],
    ['data key, base64url', Buffer.from(dataKey).toString('base64url')],
    ['data key, hex', Buffer.from(dataKey).toString('hex')],
    ['data key, raw', Buffer.from(dataKey)],
    ['bearer token', 'Bearer ey'],
    ['shared access signature', '&sig='],
  ];
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function keyIn(connectionString: string, name: string): string {
  return new RegExp(`${name}=([^;]+)`, 'u').exec(connectionString)?.[1] ?? '';
}

function readContainerName(): string {
  const found = step('Verify the chain')['containerName'];
  if (typeof found !== 'string') throw new Error('the demo told no container');
  return found;
}

/** The files that are there to hold a key: each mode 600, made for its owner alone. */
function isKeyFile(path: string): boolean {
  const isIt =
    /^(platform\/(local|vault-key|token-key|service-bus-rules)\.json|platform\/ca\/|platform\/storage\/account\.json|passphrase$|vcenter\.json$|registration-key\.json$|agent-[^/]+\/agent\.json)/u.test(
      path,
    );
  if (isIt && statSync(join(folder, 'demo', path)).mode & 0o077)
    throw new Error(`${path} can be read by others`);
  return isIt;
}

function filesIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) return filesIn(inner);
    return entry.isFile() && !/\.(raw|vhd)$/u.test(entry.name) ? [inner] : [];
  });
}
