import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askAppliance } from '../../cli/control-client.ts';
import { startVCenter, type VCenter } from '../../local/vcenter/server.ts';
import type { Finding } from '../../shared/wire/appliance-control.ts';
import { Site } from '../integration/appliance/site.ts';
import { Gate } from './gate.ts';
import { isLong } from './long.ts';

const rounds = isLong ? 30 : 8;
const machines = 2_000;

let site: Site;
let vCenter: VCenter;
let gate: Gate;
let password: string;

beforeEach(async () => {
  site = await Site.start();
  password = 'S3cret of the vCenter';
  await writeInventory(machines);
  vCenter = await startVCenter({ inventoryFile: inventoryFile() });
  gate = await Gate.open(vCenter.port);
  await askAppliance(site.dataFolder, {
    op: 'accountsAdd',
    accountName: 'vcenter',
    userName: 'reader@vsphere.local',
    password,
  });
  await site.run();
});

afterEach(async () => {
  await site.close();
  await gate.close();
  await vCenter.close();
});

test('killed in the midst of discovery, the appliance keeps the last picture and tells the whole next one', async () => {
  await add();
  await writeInventory(machines + 1);
  for (const share of isLong ? [0.02, 0.1, 0.3, 0.5, 0.7, 0.9] : [0.05, 0.5]) {
    const held = gate.holdAfter(share * 1_000_000);
    const asked = askAppliance(site.dataFolder, { op: 'refresh' }).catch(() => undefined);
    await held;
    await site.end('SIGKILL');
    gate.release();
    await asked;
    const findings = await askAppliance(site.dataFolder, { op: 'doctor' });
    expect(find(findings, 'process')).toMatchObject({ outcome: 'Failed', found: 'stopped' });
    expect(find(findings, 'vCenter vc1').found).toMatch(/^200[01] machines, discovered 20/u);
    await site.run();
    const { body } = await site.next('discovery', ({ report }) => report.machines.length === machines + 1);
    expect(new Set(body.report.machines.map(({ biosUuid }) => biosUuid)).size).toBe(machines + 1);
  }
});

test('a vCenter that shows another certificate gets no login until it is accepted, and the doctor shows both', async () => {
  await add();
  const before = vCenter.fingerprint;
  const { port } = vCenter;
  await vCenter.close();
  vCenter = await startVCenter({ inventoryFile: inventoryFile(), port });
  await askAppliance(site.dataFolder, { op: 'refresh' });
  const { body } = await site.next(
    'heartbeat',
    ({ vCenters }) => vCenters[0]?.fault?.code === 'RemoteFailure',
  );
  expect(body.vCenters[0]?.fault?.message).toContain(vCenter.fingerprint);
  const trouble = find(await askAppliance(site.dataFolder, { op: 'doctor' }), 'vCenter vc1');
  expect(trouble).toMatchObject({ outcome: 'Failed', action: expect.stringContaining('Compare the new') });
  expect(trouble.found).toContain(before);
  expect(trouble.found).toContain(vCenter.fingerprint);
  expect(vCenter.logins).toBe(0);
  const trust = { op: 'vCenterTrust', vCenterName: 'vc1', fingerprint: vCenter.fingerprint } as const;
  expect((await askAppliance(site.dataFolder, trust)).fault).toBeUndefined();
  expect(find(await askAppliance(site.dataFolder, { op: 'doctor' }), 'vCenter vc1').outcome).toBe('Passed');
});

test('a changed password is a health error at once, locks no account, and is mended by the right one', async () => {
  await add();
  password = 'Another one since this morning';
  await writeInventory(machines);
  await restartVCenter();
  await site.end('SIGKILL');
  await site.run();
  const { body } = await site.next('heartbeat', ({ vCenters }) => vCenters[0]?.fault !== undefined);
  expect(body.vCenters[0]?.fault).toMatchObject({
    code: 'AuthenticationFailed',
    message: expect.stringMatching(/^Since 20/u),
  });
  // neither a service that starts again and again nor an impatient person locks the account
  for (let round = 1; round <= rounds; round += 1) {
    await site.end('SIGKILL');
    await site.run();
    await askAppliance(site.dataFolder, { op: 'refresh' });
  }
  const trouble = find(await askAppliance(site.dataFolder, { op: 'doctor' }), 'vCenter vc1');
  expect(trouble).toMatchObject({ outcome: 'Failed', action: expect.stringContaining('password') });
  expect(trouble.found).toContain(`The last picture, of 20`);
  await askAppliance(site.dataFolder, { op: 'accountsUpdate', account: 'vcenter', password });
  await site.next('heartbeat', ({ vCenters }) => vCenters[0] !== undefined && !vCenters[0].fault);
  expect(find(await askAppliance(site.dataFolder, { op: 'doctor' }), 'vCenter vc1').outcome).toBe('Passed');
});

async function add(): Promise<void> {
  const [account] = await askAppliance(site.dataFolder, { op: 'accountsList' });
  const { accountId = '' } = account ?? {};
  const where = { address: '127.0.0.1', port: gate.port, accountId };
  await site.send('add', { kind: 'addVCenter', vCenterName: 'vc1', ...where });
  expect(await site.resultOf('add')).toMatchObject({ outcome: 'succeeded' });
}

/** The same server with the same certificate, after it was started anew: sessions are gone. */
async function restartVCenter(): Promise<void> {
  const { port, tls } = vCenter;
  await vCenter.close();
  vCenter = await startVCenter({ inventoryFile: inventoryFile(), port, tls });
}

function find(findings: Finding[], subject: string): Finding {
  const found = findings.find((finding) => finding.subject === subject);
  if (found === undefined) throw new Error(`The doctor says nothing of '${subject}'.`);
  return found;
}

function inventoryFile(): string {
  return join(site.folder, 'inventory.json');
}

async function writeInventory(count: number): Promise<void> {
  const all = Array.from({ length: count }, (_, index) => ({
    name: `machine-${index}`,
    moref: `vm-${String(index).padStart(5, '0')}`,
    biosUuid: randomUUID(),
    hostName: `machine-${index}.contoso.com`,
  }));
  const inventory = { name: 'vc1', account: { user: 'reader@vsphere.local', password }, machines: all };
  await writeFile(inventoryFile(), JSON.stringify(inventory));
}
