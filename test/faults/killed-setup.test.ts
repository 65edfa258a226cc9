import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askAppliance } from '../../cli/control-client.ts';
import type { Finding } from '../../shared/wire/appliance-control.ts';
import { VaultServer } from '../integration/appliance/vault-server.ts';
import { isLong } from './long.ts';

const main = resolve(import.meta.dirname, '../../appliance/setup/main.ts');
const kills = isLong ? 100 : 8;

let folder: string;
let vault: VaultServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'faults-'));
  vault = await VaultServer.start();
});

afterEach(async () => {
  await vault.close();
  await rm(folder, { recursive: true, force: true });
});

test(
  `setup killed at ${kills} moments goes on where it was, as the same appliance`,
  { timeout: 900_000 },
  async () => {
    const undisturbed = await measure('undisturbed');
    for (let kill = 1; kill <= kills; kill += 1) {
      vault.forget();
      const name = `killed-${kill}`;
      await writeKey(name);
      const setup = start(name);
      await Promise.race([delay((undisturbed * kill) / kills), once(setup, 'exit')]);
      await end(setup);
      await isExplained(name);
      expect(await finish(name)).toMatchObject({ vaultName: 'ContosoVMVault' });
      expect(vault.applianceCount).toBe(1);
      await isExplained(name);
    }
  },
);

test.each(['asked', 'registered'] as const)(
  'killed when the vault was %s, setup registers the same appliance with the same key',
  async (moment) => {
    await writeKey('killed');
    const setup = start('killed');
    const { promise: killed, resolve: tell } = Promise.withResolvers<void>();
    vault.settings.onRegistration = async (step) => {
      if (step !== moment) return;
      vault.settings = {};
      await end(setup);
      tell();
    };
    await killed;
    await isExplained('killed');
    const before = vault.applianceCount === 0 ? undefined : vault.appliance.result.applianceId;
    const { applianceId, alreadyRegistered } = await finish('killed');
    expect(alreadyRegistered).toBe(false);
    expect(applianceId).toBe(before ?? vault.appliance.result.applianceId);
    expect(await finish('killed')).toMatchObject({ applianceId, alreadyRegistered: true });
    expect(vault.applianceCount).toBe(1);
  },
);

function start(name: string): ChildProcess {
  const where = ['--data-folder', dataFolder(name), '--host', '127.0.0.1', '--port', '0'];
  const args = [main, '--key', join(folder, `${name}.json`), ...where, '--wait-seconds', '0', '--json'];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function end(setup: ChildProcess): Promise<void> {
  if (setup.exitCode !== null || setup.signalCode !== null) return;
  const exited = once(setup, 'exit');
  setup.kill('SIGKILL');
  await exited;
}

async function finish(name: string): Promise<{ applianceId: string; alreadyRegistered: boolean }> {
  const setup = start(name);
  const [output, complaints] = await Promise.all([text(setup.stdout!), text(setup.stderr!)]); // both are piped
  if (output === '') throw new Error(complaints);
  return JSON.parse(output) as { applianceId: string; alreadyRegistered: boolean };
}

async function measure(name: string): Promise<number> {
  await writeKey(name);
  const startedAt = performance.now();
  await finish(name);
  return performance.now() - startedAt;
}

/** Whatever is there, the doctor says what it is and what to do. */
async function isExplained(name: string): Promise<void> {
  const said = await askAppliance(dataFolder(name), { op: 'doctor' }).catch((error: unknown) =>
    String(error),
  );
  expect(typeof said === 'string').toBe(!existsSync(join(dataFolder(name), 'configuration.db')));
  if (typeof said === 'string') expectText(said);
  else expectFindings(said);
}

function expectText(said: string): void {
  expect(said).toContain('There is no appliance set up in');
}

function expectFindings(findings: Finding[]): void {
  const withoutAdvice = findings.filter(({ outcome, action }) => outcome !== 'Passed' && action === '');
  expect(withoutAdvice).toEqual([]);
  const found = findings.find(({ subject }) => subject === 'registration')?.found;
  expect(['registered at ContosoVMVault', 'not registered at any vault']).toContain(found);
}

async function writeKey(name: string): Promise<void> {
  await writeFile(join(folder, `${name}.json`), JSON.stringify(await vault.createKey()));
}

function dataFolder(name: string): string {
  return join(folder, name);
}
