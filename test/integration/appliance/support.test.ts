import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askAppliance } from '../../../cli/control-client.ts';
import { Finding } from '../../../shared/wire/appliance-control.ts';
import { Site } from './site.ts';

const main = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));
const password = 'correct horse battery staple';

let site: Site;

beforeEach(async () => {
  site = await Site.start();
});

afterEach(async () => {
  await site.close();
});

test('doctor finds a running appliance well, by its own port and vault', async () => {
  await site.run();
  await site.next('heartbeat');
  const { stdout } = await run('doctor', '--json');
  const findings = Finding.array().parse(JSON.parse(stdout));
  expect(findings.filter(({ outcome }) => outcome === 'Failed')).toEqual([]);
  const outcomes = Object.fromEntries(findings.map(({ subject, outcome }) => [subject, outcome]));
  expect(outcomes).toMatchObject({
    process: 'Passed',
    vault: 'Passed',
    'prerequisite dataPort': 'Passed',
    'prerequisite vaultReachable': 'Passed',
  });
});

test('doctor says that a stopped appliance is stopped', async () => {
  const { stdout, code } = await run('doctor');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^FAIL +process +stopped\n +Start it with/mu);
});

test('a bundle has the log and how the appliance is doing, and no secret', async () => {
  await site.run();
  await askAppliance(site.dataFolder, { op: 'accountsAdd', accountName: 'vc', userName: 'me', password });
  await site.next('heartbeat', ({ accounts }) => accounts.length > 0);
  const { passphrase } = await askAppliance(site.dataFolder, { op: 'passphraseShow' });
  const out = join(site.folder, 'bundle.tar.gz');
  await run('bundle', '--out', out);
  const { stdout: names } = await promisify(execFile)('tar', ['-tzf', out]);
  expect(names.trim().split('\n')).toEqual(['status.json', 'doctor.json', 'versions.json', 'appliance.log']);
  const content = gunzipSync(await readFile(out)).toString('latin1');
  expect(content).toContain('The appliance runs.');
  for (const secret of [password, passphrase, 'PRIVATE KEY', 'sig=', 'SharedAccessSignature=']) {
    expect(content).not.toContain(secret);
  }
});

test('shows the last lines of the log, after the appliance ended too', async () => {
  await site.run();
  await site.end('SIGTERM');
  const { stdout } = await run('logs', '--lines', '50');
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { sentence: string }).sentence),
  ).toContain('The appliance runs.');
});

test('renews the certificate of the agents’ port, running or stopped, under the same authority', async () => {
  await site.run();
  const { processServer } = await askAppliance(site.dataFolder, { op: 'status' });
  expect((await run('renew-certificate')).stdout).toContain("The port's certificate is ");
  const running = await askAppliance(site.dataFolder, { op: 'renewCertificate' });
  await site.end('SIGTERM');
  const first = await askAppliance(site.dataFolder, { op: 'renewCertificate' });
  const second = await askAppliance(site.dataFolder, { op: 'renewCertificate' });
  expect(new Set([running, first, second].map(({ fingerprint }) => fingerprint)).size).toBe(3);
  await site.run();
  const after = await askAppliance(site.dataFolder, { op: 'status' });
  expect(after.processServer?.caFingerprint).toBe(processServer?.caFingerprint);
});

test('is not unregistered while the vault has the server, and leaves no key behind when it is', async () => {
  const refused = await run('unregister');
  expect(refused).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('delete the server in the vault first'),
  });
  site.vault.forget();
  expect(await run('unregister')).toMatchObject({ code: 0 });
  await expect(access(join(site.dataFolder, 'store.key'))).rejects.toThrow('ENOENT');
  expect((await run('status')).stderr).toContain('no appliance set up');
});

async function run(...args: string[]) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const all = [main, 'appliance', ...args, '--data-folder', site.dataFolder];
    execFile(process.execPath, all, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}
