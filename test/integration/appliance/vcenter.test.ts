import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askAppliance } from '../../../cli/control-client.ts';
import { findFreePort } from '../../../local/free-port.ts';
import { startVCenter, type VCenter } from '../../../local/vcenter/server.ts';
import type { CommandBody } from '../../../shared/wire/command.ts';
import { Site } from './site.ts';

const password = 'S3cret of the vCenter';

let site: Site;
let vCenter: VCenter;
let accountId: string;

beforeEach(async () => {
  site = await Site.start();
  await writeInventory(3);
  vCenter = await startVCenter({ inventoryFile: inventoryFile() });
  ({ accountId } = await askAppliance(site.dataFolder, {
    op: 'accountsAdd',
    accountName: 'vcenter',
    userName: 'reader@vsphere.local',
    password,
  }));
  await site.run();
});

afterEach(async () => {
  await vCenter.close();
  await site.close();
});

test('adds a vCenter: pins its certificate, discovers, tells the machines and then the result', async () => {
  await site.send('add', addCommand());
  const { body } = await site.next('discovery');
  expect(body.vCenterName).toBe('vc1');
  expect(body.report.machines.map(({ name }) => name)).toEqual(['machine-0', 'machine-1', 'machine-2']);
  expect(await site.resultOf('add')).toEqual({ commandId: 'add', outcome: 'succeeded' });
  expect(await list()).toMatchObject([{ vCenterName: 'vc1', fingerprint: vCenter.fingerprint, machines: 3 }]);
  const heartbeat = await site.next('heartbeat', ({ vCenters }) => vCenters.length > 0);
  expect(heartbeat.body.vCenters[0]?.lastSuccessMs).toBe(body.report.discoveredAtMs);
});

test('tells a large inventory by claim check', async () => {
  await writeInventory(2_000);
  await site.send('add', addCommand());
  const { body, claimCheck } = await site.next('discovery');
  expect(body.report.machines).toHaveLength(2_000);
  expect(claimCheck?.blobName).toContain(site.applianceId);
});

test.each([
  ['nothing listens there', async () => ({ ...addCommand(), port: await findFreePort() }), 'Unavailable'],
  ['there is no such account', async () => ({ ...addCommand(), accountId: '77' }), 'ResourceNotFound'],
])('keeps nothing of a vCenter when %s', async (_, command, code) => {
  await site.send('add', await command());
  expect(await site.resultOf('add')).toMatchObject({ outcome: 'failed', fault: { code } });
  expect(await list()).toEqual([]);
});

test('keeps nothing of a vCenter whose password is wrong', async () => {
  await askAppliance(site.dataFolder, { op: 'accountsUpdate', account: accountId, password: 'wrong' });
  await site.send('add', addCommand());
  expect(await site.resultOf('add')).toMatchObject({ fault: { code: 'AuthenticationFailed' } });
  expect(await list()).toEqual([]);
});

test('says since when a vCenter is away and keeps its last picture', async () => {
  await add();
  await vCenter.close();
  await site.send('refresh', { kind: 'refresh' });
  expect(await site.resultOf('refresh')).toMatchObject({ outcome: 'failed' });
  const { body } = await site.next('heartbeat', ({ vCenters }) => vCenters[0]?.fault !== undefined);
  expect(body.vCenters[0]?.fault?.message).toMatch(/^Since 20\d\d-/u);
  expect(await list()).toMatchObject([{ machines: 3 }]);
});

test('refuses a vCenter that shows another certificate until it is trusted', async () => {
  await add();
  const { port } = vCenter;
  await vCenter.close();
  vCenter = await startVCenter({ inventoryFile: inventoryFile(), port });
  await site.send('refresh', { kind: 'refresh' });
  expect(await site.resultOf('refresh')).toMatchObject({
    outcome: 'failed',
    fault: { code: 'RemoteFailure' },
  });
  const trust = { op: 'vCenterTrust', vCenterName: 'vc1', fingerprint: vCenter.fingerprint } as const;
  const trusted = await askAppliance(site.dataFolder, trust);
  expect(trusted.fault).toBeUndefined();
});

test('shows new machines after a refresh', async () => {
  await add();
  await writeInventory(5);
  expect(await askAppliance(site.dataFolder, { op: 'refresh' })).toMatchObject([{ machines: 5 }]);
  const { body } = await site.next('discovery', ({ report }) => report.machines.length === 5);
  expect(body.vCenterName).toBe('vc1');
});

test('keeps an account that a vCenter needs, and gives it free when the vCenter is removed', async () => {
  await add();
  const remove = async () => askAppliance(site.dataFolder, { op: 'accountsRemove', account: 'vcenter' });
  await expect(remove()).rejects.toThrow("in use by 'vc1'");
  await site.send('remove', { kind: 'removeVCenter', vCenterName: 'VC1' });
  await site.resultOf('remove');
  expect(await remove()).toMatchObject({ accountId });
});

test('discovers after a restart without being asked', async () => {
  await add();
  await site.end('SIGKILL');
  await writeInventory(4);
  await site.run();
  const { epoch } = await site.next('discovery', ({ report }) => report.machines.length === 4);
  expect(epoch).toBe(2);
});

function addCommand(): CommandBody & { kind: 'addVCenter' } {
  return { kind: 'addVCenter', vCenterName: 'vc1', address: '127.0.0.1', port: vCenter.port, accountId };
}

async function add(): Promise<void> {
  await site.send('add', addCommand());
  expect(await site.resultOf('add')).toMatchObject({ outcome: 'succeeded' });
}

async function list() {
  return askAppliance(site.dataFolder, { op: 'vCenterList' });
}

function inventoryFile(): string {
  return join(site.folder, 'inventory.json');
}

async function writeInventory(count: number): Promise<void> {
  const machines = Array.from({ length: count }, (_, index) => ({
    name: `machine-${index}`,
    moref: `vm-${String(index).padStart(5, '0')}`,
    biosUuid: randomUUID(),
    hostName: `machine-${index}.contoso.com`,
  }));
  const inventory = { name: 'vc1', account: { user: 'reader@vsphere.local', password }, machines };
  await writeFile(inventoryFile(), JSON.stringify(inventory));
}
