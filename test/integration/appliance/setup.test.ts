import { generateKeyPair } from 'jose';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findRegistration, getPassphrase } from '../../../appliance/configuration-server/identity.ts';
import { openStore } from '../../../appliance/configuration-server/store.ts';
import { setUp, type SetupResult } from '../../../appliance/setup/set-up.ts';
import { findFreePort } from '../../../local/free-port.ts';
import type { Fault } from '../../../shared/fault.ts';
import { VaultServer } from './vault-server.ts';

let folder: string;
let vault: VaultServer;
const quiet = { host: '127.0.0.1', port: 0, onRetry: () => undefined };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'appliance-'));
  vault = await VaultServer.start();
});

afterEach(async () => {
  await vault.close();
  await rm(folder, { recursive: true, force: true });
});

test('registers the appliance and keeps who it is', async () => {
  const result = await run(await keyFile(await vault.createKey()));
  expect(result).toMatchObject({ applianceId: vault.appliance.result.applianceId, alreadyRegistered: false });
  const store = openStore(join(folder, 'data'));
  expect(findRegistration(store)?.applianceId).toBe(result.applianceId);
  store.db.close();
});

test('shows what the machine is to the vault', async () => {
  await run(await keyFile(await vault.createKey()));
  const { machine } = vault.appliance.request;
  expect(machine.hostName).not.toBe('');
  expect(machine.version).toMatch(/^\d+\.\d+\.\d+/u);
});

test('tells the vault what the machine was found to be', async () => {
  const { prerequisites } = await run(await keyFile(await vault.createKey()));
  expect(vault.appliance.request.prerequisites).toEqual(prerequisites);
  const names = prerequisites.checks.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['processors', 'vaultReachable', 'clockOfService']));
});

test('refuses a port that another program listens on, and registers nothing', async () => {
  const keyPath = await keyFile(await vault.createKey());
  const taken = { ...quiet, port: vault.port, keyPath, dataFolder: join(folder, 'data'), waitSeconds: 0 };
  await expect(setUp(taken)).rejects.toMatchObject({ fault: { code: 'Conflict', target: 'dataPort' } });
  expect(() => vault.appliance).toThrow('No appliance is registered');
});

test('repeating setup changes nothing of a registered appliance, even with an expired key', async () => {
  const key = await keyFile(await vault.createKey());
  const first = await run(key);
  const again = await run(await keyFile(await vault.createKey({ expiresInSeconds: -60 })));
  const { prerequisites } = again; // measured anew
  expect(again).toEqual({ ...first, alreadyRegistered: true, prerequisites });
});

test('the same key registers the same appliance again when the answer got lost', async () => {
  const key = await keyFile(await vault.createKey());
  const first = await run(key);
  const store = openStore(join(folder, 'data'));
  store.db.exec("DELETE FROM setting WHERE name = 'registration'");
  store.db.close();
  const again = await run(key);
  expect(again).toEqual({ ...first, prerequisites: again.prerequisites });
});

test('keeps trying until the vault can be reached', async () => {
  const { port } = vault;
  const keyPath = await keyFile(await vault.createKey());
  await vault.close();
  const retries: string[] = [];
  const onRetry = (message: string): void => {
    if (retries.push(message) === 1) void vault.reopen(port);
  };
  const result = await setUp({
    ...quiet,
    keyPath,
    dataFolder: join(folder, 'data'),
    waitSeconds: 60,
    onRetry,
  });
  expect(result.applianceId).toBe(vault.appliance.result.applianceId);
  expect(retries[0]).toContain(`127.0.0.1:${port} can't be reached`);
});

test('gives up with what to do when the vault stays away', async () => {
  const file = await keyFile(await vault.createKey({ port: await findFreePort() }));
  expect(await refusedWith(file)).toMatchObject({
    code: 'Unavailable',
    recommendedAction: expect.stringContaining('firewall'),
  });
});

test('refuses a key whose five days are over', async () => {
  const file = await keyFile(await vault.createKey({ expiresInSeconds: -60 }));
  expect(await refusedWith(file)).toMatchObject({
    code: 'RegistrationKeyExpired',
    recommendedAction: expect.stringContaining('download a new key'),
  });
});

test('refuses a key that another appliance used', async () => {
  const file = await keyFile(await vault.createKey());
  await run(file);
  expect(await refusedWith(file, 'other')).toMatchObject({ code: 'RegistrationKeyUsed' });
});

test('a forged key is refused by the vault', async () => {
  const { privateKey } = await generateKeyPair('ES256');
  const file = await keyFile(await vault.createKey({ signedBy: privateKey }));
  expect(await refusedWith(file)).toMatchObject({ code: 'AuthenticationFailed' });
});

test.each([
  ['20 minutes behind', 20 * 60_000],
  ['20 minutes ahead', -20 * 60_000],
])('refuses to register when this clock is %s', async (_, clockAheadMs) => {
  vault.settings = { clockAheadMs };
  expect(await refusedWith(await keyFile(await vault.createKey()))).toMatchObject({ code: 'ClockSkew' });
});

test.each([
  ['text', 'hello'],
  ['other JSON', '{"kind":"something"}'],
  ['nothing', ''],
  [
    'a key of another form',
    JSON.stringify({
      kind: 'SecondsiteVaultRegistrationKey',
      version: 1,
      vaultName: 'x',
      expiresAt: '2030-01-01T00:00:00Z',
      key: 'not.a.token',
    }),
  ],
])('refuses a file that holds %s', async (_, content) => {
  const path = join(folder, 'key.json');
  await writeFile(path, content);
  expect(await refusedWith(path)).toMatchObject({ code: 'InvalidRequest', target: path });
});

test('names the file that is missing', async () => {
  const path = join(folder, 'none.json');
  expect(await refusedWith(path)).toMatchObject({ code: 'InvalidRequest', target: path });
});

test('refuses a vault whose certificate the key’s authority did not sign', async () => {
  const other = await VaultServer.start();
  const file = await keyFile(await vault.createKey({ port: other.port }));
  expect(await refusedWith(file)).toMatchObject({
    code: 'Unavailable',
    recommendedAction: expect.stringContaining('not trusted'),
  });
  await other.close();
});

test('refuses port 443 and a data folder with a path too long', async () => {
  const keyPath = await keyFile(await vault.createKey());
  const common = { ...quiet, keyPath, waitSeconds: 0 };
  await expect(setUp({ ...common, dataFolder: join(folder, 'data'), port: 443 })).rejects.toThrow('443');
  await expect(setUp({ ...common, dataFolder: join(folder, 'x'.repeat(100)), port: 0 })).rejects.toThrow(
    'too long',
  );
});

test('keeps the data folder for its owner, and no secret in it in the clear', async () => {
  await run(await keyFile(await vault.createKey()));
  const data = join(folder, 'data');
  expect((await stat(data)).mode & 0o777).toBe(0o700);
  const store = openStore(data);
  const passphrase = getPassphrase(store);
  for (const name of await readdir(data)) {
    expect((await stat(join(data, name))).mode & 0o077).toBe(0);
    const content = await readFile(join(data, name), 'latin1');
    expect(content).not.toContain(passphrase);
    expect(content).not.toContain('PRIVATE KEY');
  }
  store.db.close();
});

test('does not open a store whose key file is gone', async () => {
  await run(await keyFile(await vault.createKey()));
  await rm(join(folder, 'data', 'store.key'));
  expect(() => openStore(join(folder, 'data'))).toThrow('Restore the file from a backup');
});

async function run(keyPath: string, name = 'data', waitSeconds = 0): Promise<SetupResult> {
  return setUp({ ...quiet, keyPath, dataFolder: join(folder, name), waitSeconds });
}

async function refusedWith(keyPath: string, name = 'data'): Promise<Fault> {
  const error: unknown = await run(keyPath, name).catch((thrown: unknown) => thrown);
  return (error as { fault: Fault }).fault;
}

async function keyFile(content: object): Promise<string> {
  const path = join(folder, `key-${Math.random()}.json`);
  await writeFile(path, JSON.stringify(content));
  return path;
}
