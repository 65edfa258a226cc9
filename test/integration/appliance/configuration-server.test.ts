import { CompactEncrypt, importJWK } from 'jose';
import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askAppliance } from '../../../cli/control-client.ts';
import { findFreePort } from '../../../local/free-port.ts';
import type { CommandBody } from '../../../shared/wire/command.ts';
import { Site } from './site.ts';

let site: Site;

beforeEach(async () => {
  site = await Site.start();
});

afterEach(async () => {
  await site.close();
});

const biosUuid = '42081b1f-6d29-4f2c-9b4d-0a2b7f1e5a10';
const disks = [{ diskId: '2000', sizeBytes: 1_048_576 }];
const schedule = { crashConsistentMinutes: 5, appConsistentMinutes: 60 };

test('checks in with true numbers of the machine', async () => {
  await site.run();
  const { body, epoch, sequence } = await site.next('heartbeat');
  expect({ epoch, sequence }).toEqual({ epoch: 1, sequence: 1 });
  expect(body.processServer.memoryTotalBytes).toBeGreaterThan(body.processServer.memoryAvailableBytes);
  expect(body.processServer.cacheTotalBytes).toBeGreaterThan(body.processServer.cacheFreeBytes);
  expect(body.certificateExpiresAtMs).toBeGreaterThan(Date.now());
  expect(body.prerequisites?.checks.map(({ name }) => name)).toContain('memory');
});

test('tells of a new account at once, by its name alone', async () => {
  await site.run();
  await site.next('heartbeat');
  const account = await addAccount();
  const { body } = await site.next('heartbeat', ({ accounts }) => accounts.length > 0);
  expect(body.accounts).toEqual([{ accountId: account.accountId, accountName: 'vcenter' }]);
});

test('answers a command that came twice with the same result, and does it once', async () => {
  await site.run();
  const body: CommandBody = { kind: 'removeVCenter', vCenterName: 'none' };
  await site.send('once', body);
  const first = await site.resultOf('once');
  await site.send('once', body);
  expect(await site.resultOf('once')).toEqual(first);
  expect(first).toEqual({ commandId: 'once', outcome: 'succeeded' });
});

test('dead-letters what is no command and goes on with the next', async () => {
  await site.run();
  await site.sendRaw({ version: 1, commandId: 'x', body: { kind: 'formatDisk' } });
  await site.send('after', { kind: 'refresh' });
  expect(await site.resultOf('after')).toMatchObject({ outcome: 'succeeded' });
  expect(await site.waitingCommands('deadLetter')).toMatchObject([{ reason: 'InvalidCommand' }]);
  expect(await site.waitingCommands()).toEqual([]);
});

test('waits for an agent without holding the message, through a kill, until the machine is stopped', async () => {
  const protectedItemId = randomUUID();
  await site.run();
  await site.send('prepare', {
    kind: 'prepareMachine',
    protectedItemId,
    biosUuid,
    machineName: 'web',
    disks,
  });
  await expect.poll(async () => (await status()).pendingCommands.length, { timeout: 20_000 }).toBe(1);
  await expect.poll(async () => site.waitingCommands(), { timeout: 20_000 }).toEqual([]);

  await site.end('SIGKILL');
  await site.run();
  expect((await status()).pendingCommands).toMatchObject([{ commandId: 'prepare', kind: 'prepareMachine' }]);

  await site.send('stop', { kind: 'stopReplication', protectedItemId });
  expect(await site.resultOf('prepare')).toMatchObject({ outcome: 'failed', fault: { code: 'Conflict' } });
  expect(await site.resultOf('stop')).toMatchObject({ outcome: 'succeeded' });
  expect(site.checkIns.at(-1)?.epoch).toBe(2);
});

test('takes a data key sealed for it, and refuses others', async () => {
  await site.run();
  const { encryptionKey, signingKey } = site.vault.appliance.request;
  await site.send('good', await startSealedFor(encryptionKey));
  expect(await site.resultOf('good')).toMatchObject({ outcome: 'succeeded' });
  await site.send('bad', await startSealedFor(signingKey));
  expect(await site.resultOf('bad')).toMatchObject({ outcome: 'failed', fault: { target: 'sealedDataKey' } });
});

test('keeps results while Service Bus is away, through a kill, and sends them when it is back', async () => {
  await site.run();
  await site.next('heartbeat');
  await site.send('slow', {
    kind: 'addVCenter',
    vCenterName: 'gone',
    address: '127.0.0.1',
    port: await findFreePort(),
    accountId: '9',
  });
  await site.resultOf('slow');
  await site.stopBroker();
  await site.end('SIGKILL');
  await site.startBroker();
  await site.send('late', { kind: 'refresh' });
  await site.stopBroker();
  await site.run();
  expect((await status()).state).toBe('running');
  await site.startBroker();
  expect(await site.resultOf('late')).toMatchObject({ outcome: 'succeeded' });
});

test('goes on with new clients when its tokens are renewed', async () => {
  site.vault.settings = { ...site.vault.settings, tokenLifeMs: 3_000 };
  await site.run();
  await expect.poll(() => site.vault.tokensGiven, { timeout: 20_000 }).toBeGreaterThan(2);
  await site.send('after-renewal', { kind: 'refresh' });
  expect(await site.resultOf('after-renewal')).toMatchObject({ outcome: 'succeeded' });
});

test('says that its clock is wrong, and checks in when it is right again', async () => {
  const right = site.vault.settings;
  site.vault.settings = { ...right, clockAheadMs: 16 * 60_000 };
  await site.run();
  await expect.poll(async () => (await status()).cloud?.fault?.code, { timeout: 20_000 }).toBe('ClockSkew');
  site.vault.settings = right;
  await site.next('heartbeat');
  expect((await status()).cloud).toMatchObject({ state: 'connected' });
});

test('stops cleanly on SIGTERM and answers from its store afterwards', async () => {
  await site.run();
  await site.next('heartbeat');
  expect(await site.end('SIGTERM')).toBe(0);
  expect(await status()).toMatchObject({ state: 'stopped', applianceId: site.applianceId });
  await addAccount();
  expect(await askAppliance(site.dataFolder, { op: 'accountsList' })).toMatchObject([
    { accountName: 'vcenter' },
  ]);
});

test('runs once for a data folder', async () => {
  await site.run();
  const { stderr } = await runToEnd('appliance/main.ts', ['--data-folder', site.dataFolder]);
  expect(stderr).toContain('Another appliance process is working');
});

test('has no secret in its files and logs', async () => {
  await site.run();
  await addAccount();
  const { passphrase } = await askAppliance(site.dataFolder, { op: 'passphraseShow' });
  await site.next('heartbeat', ({ accounts }) => accounts.length > 0);
  await site.end('SIGTERM');
  const secrets = [passphrase, accountPassword, 'PRIVATE KEY', 'sig='];
  const paths = (await readdir(site.dataFolder)).map((name) => join(site.dataFolder, name));
  const leaks: string[] = [];
  for (const path of [...paths.filter((path) => !path.endsWith('process-server')), site.logPath]) {
    const content = await readFile(path, 'latin1');
    leaks.push(...secrets.filter((secret) => content.includes(secret)).map((secret) => `${path}: ${secret}`));
  }
  expect(leaks).toEqual([]);
});

const accountPassword = 'correct horse battery staple';

/** The plaintext is a data key of 32 bytes. */
async function startSealedFor(key: object): Promise<CommandBody> {
  const sealedDataKey = await new CompactEncrypt(randomBytes(32))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' })
    .encrypt(await importJWK(key, 'ECDH-ES'));
  const protectedItemId = randomUUID();
  return {
    kind: 'startReplication',
    protectedItemId,
    biosUuid,
    machineName: 'web',
    disks: disks.map((disk, number) => ({ ...disk, number })),
    schedule,
    sealedDataKey,
  };
}

async function addAccount() {
  const request = {
    op: 'accountsAdd',
    accountName: 'vcenter',
    userName: 'admin',
    password: accountPassword,
  } as const;
  return askAppliance(site.dataFolder, request);
}

async function status() {
  return askAppliance(site.dataFolder, { op: 'status' });
}

async function runToEnd(program: string, programArguments: string[]) {
  return new Promise<{ stderr: string }>((resolve) => {
    const path = fileURLToPath(new URL(`../../../${program}`, import.meta.url));
    execFile(process.execPath, [path, ...programArguments], (_error, _stdout, stderr) => resolve({ stderr }));
  });
}
