import { fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from 'vitest';
import { VSphereClient } from '../../../appliance/configuration-server/vsphere/client.ts';
import { discover } from '../../../appliance/configuration-server/vsphere/discover.ts';
import type { VCenterInventory } from '../../../local/vcenter/inventory.ts';
import type { DiscoveryReport } from '../../../shared/wire/discovery.ts';
import { parseXml } from '../../../shared/xml.ts';
import { account, sharedInventory, startLocal, type LocalServer } from './servers.ts';

let server: LocalServer | undefined;
afterEach(() => server?.close());

type Machine = VCenterInventory['machines'][number];

const uuid = (index: number): string => `4206e2c4-0000-4000-8000-${String(index).padStart(12, '0')}`;
const machine = (index: number, rest: Partial<Machine> = {}): Machine => ({
  name: `machine ${index}`,
  biosUuid: uuid(index),
  ...rest,
});
const inventory = (machines: Machine[], rest: Partial<VCenterInventory> = {}): VCenterInventory => ({
  name: 'contoso',
  account,
  machines,
  ...rest,
});

async function start(machines: Machine[], rest: Partial<VCenterInventory> = {}): Promise<LocalServer> {
  server = await startLocal(inventory(machines, rest));
  return server;
}

const connect = (): Promise<VSphereClient> =>
  VSphereClient.connect({ host: '127.0.0.1', port: server?.port ?? 0, ...account });

async function run(): Promise<DiscoveryReport> {
  const client = await connect();
  try {
    return await discover(client, 'contoso');
  } finally {
    await client.close();
  }
}

interface Answer {
  status: number;
  body: string;
  cookie: string;
}

/** Sends a call as any other client might. */
function call(body: string, cookie = ''): Promise<Answer> {
  const envelope = `<Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body>${body}</Body></Envelope>`;
  return post(envelope, cookie);
}

function post(body: string, cookie = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const port = server?.port ?? 0;
    const outgoing = request({
      host: '127.0.0.1',
      port,
      path: '/sdk',
      method: 'POST',
      rejectUnauthorized: false,
      agent: false,
      headers: { cookie },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let text = '';
      response.on('error', reject);
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => {
        const given = response.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
        resolve({ status: response.statusCode ?? 0, body: text, cookie: given });
      });
    });
    outgoing.end(body);
  });
}

async function logIn(): Promise<string> {
  const { user, password } = { user: account.user, password: account.password.replaceAll('&', '&amp;') };
  const escaped = password.replaceAll('<', '&lt;');
  const { cookie } = await call(
    `<Login><_this>SessionManager</_this><userName>${user}</userName><password>${escaped}</password></Login>`,
  );
  return cookie;
}

const retrieveNames = (view: string, maxObjects: number): string =>
  `<RetrievePropertiesEx><_this>propertyCollector</_this><specSet>\
<propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet>\
<objectSet><obj type="ContainerView">${view}</obj><skip>true</skip></objectSet></specSet>\
<options><maxObjects>${maxObjects}</maxObjects></options></RetrievePropertiesEx>`;

describe('discovery of an inventory larger than a page', () => {
  it('finds every machine once', async () => {
    await start(Array.from({ length: 1001 }, (_, index) => machine(index)));
    const { machines } = await run();
    expect(new Set(machines.map(({ biosUuid }) => biosUuid)).size).toBe(1001);
    expect(machines).toHaveLength(1001);
  });

  it('gets pages no larger than it asks for, with a token that is good once', async () => {
    await start([machine(1), machine(2), machine(3)]);
    const cookie = await logIn();
    const created = await call(
      '<CreateContainerView><type>VirtualMachine</type></CreateContainerView>',
      cookie,
    );
    const view = /<returnval type="ContainerView">([^<]+)</u.exec(created.body)?.[1] ?? '';
    const first = await call(retrieveNames(view, 2), cookie);
    expect(first.body.match(/<objects>/gu)).toHaveLength(2);
    const token = /<token>([^<]+)</u.exec(first.body)?.[1] ?? '';
    const next = `<ContinueRetrievePropertiesEx><token>${token}</token></ContinueRetrievePropertiesEx>`;
    const second = await call(next, cookie);
    expect(second.body.match(/<objects>/gu)).toHaveLength(1);
    expect(second.body).not.toContain('<token>');
    expect(await call(next, cookie)).toMatchObject({ status: 500 });
  });

  it('finds an empty inventory empty', async () => {
    await start([]);
    expect(await run()).toMatchObject({ machines: [], leftOut: [] });
  });
});

describe('discovery with an account that may not see all', () => {
  it('says that the account has no role', async () => {
    await start([], { account: { ...account, access: 'none' } });
    await expect(connect()).rejects.toMatchObject({
      reason: 'NoPermission',
      message: expect.stringContaining('System.View'),
      fault: { code: 'AuthorizationFailed', recommendedAction: expect.stringContaining('Read-only') },
    });
  });

  it('lists a machine apart that the account may not read, with the privilege it lacks', async () => {
    await start([machine(1), machine(2, { access: 'list' }), machine(3, { access: 'none' })]);
    const report = await run();
    expect(report.machines.map(({ name }) => name)).toEqual(['machine 1']);
    expect(report.leftOut).toMatchObject([
      { name: 'machine 2', reason: expect.stringContaining('privilege System.Read') },
    ]);
  });
});

describe('discovery of unusual machines', () => {
  it('lists a machine apart whose files are away', async () => {
    await start([
      machine(1, { connectionState: 'inaccessible' }),
      machine(2, { connectionState: 'disconnected' }),
    ]);
    const report = await run();
    expect(report.machines).toMatchObject([{ name: 'machine 2', connectionState: 'disconnected' }]);
    expect(report.leftOut).toMatchObject([
      { name: 'machine 1', reason: expect.stringContaining('inaccessible') },
    ]);
  });

  it('keeps a name of 1,000 characters and names that look like escapes or markup', async () => {
    const names = [
      'n'.repeat(1000),
      'a%2fb',
      'a/b\\c%d',
      '</objects><objects>&amp;',
      '  padded  ',
      '💾',
      '__proto__',
    ];
    await start(names.map((name, index) => machine(index, { name })));
    const { machines } = await run();
    expect(machines.map(({ name }) => name).sort()).toEqual(names.toSorted());
  });

  it('tells 64 disks apart, without uuids and with one uuid twice', async () => {
    const disks = Array.from({ length: 64 }, (_, index) => ({
      capacityBytes: (index + 1) * 512,
      ...(index % 2 === 0 ? { uuid: '6000C29a-0000' } : {}),
    }));
    await start([machine(1, { disks })]);
    const [found] = (await run()).machines;
    expect(new Set(found?.disks.map(({ diskId }) => diskId)).size).toBe(64);
    expect(found?.disks.map(({ capacityBytes }) => capacityBytes)).toEqual(
      disks.map((disk) => disk.capacityBytes),
    );
    const places = found?.disks.map(({ controller }) => `${controller.label} ${controller.unitNumber}`);
    expect(new Set(places).size).toBe(64);
  });

  it('reports two machines with the same BIOS uuid as two', async () => {
    const clone = { biosUuid: uuid(1) };
    await start([machine(1, { instanceUuid: uuid(8) }), machine(2, { ...clone, instanceUuid: uuid(9) })]);
    expect((await run()).machines).toHaveLength(2);
  });
});

describe('the local vCenter', () => {
  it('answers NotAuthenticated without a session and after logout', async () => {
    await start([machine(1)]);
    const create = '<CreateContainerView><type>VirtualMachine</type></CreateContainerView>';
    expect((await call(create)).body).toContain('NotAuthenticated');
    const cookie = await logIn();
    expect((await call(create, cookie)).status).toBe(200);
    expect((await call('<Logout/>', cookie)).status).toBe(200);
    expect((await call(create, cookie)).body).toContain('NotAuthenticated');
  });

  it('tells a client that is in a session which was ended', async () => {
    await start([machine(1)]);
    const client = await connect();
    await client.close();
    await expect(discover(client, 'contoso')).rejects.toMatchObject({ reason: 'SessionEnded' });
  });

  it('locks an account for which five wrong passwords came, even for the right one', async () => {
    await start([machine(1)]);
    const guess = `<Login><_this>SessionManager</_this><userName>${account.user}</userName><password>guess</password></Login>`;
    for (let guesses = 1; guesses < 5; guesses += 1) await call(guess);
    expect(await logIn()).not.toBe('');
    for (let guesses = 1; guesses <= 5; guesses += 1) {
      expect((await call(guess)).body).toContain('InvalidLogin');
    }
    expect(await logIn()).toBe('');
  });

  it('serves what stands in the file now', async () => {
    const local = await start([machine(1)]);
    expect((await run()).machines).toMatchObject([{ name: 'machine 1' }]);
    await local.write(inventory([machine(1, { name: 'renamed' }), machine(2)]));
    expect((await run()).machines.map(({ name }) => name).sort()).toEqual(['machine 2', 'renamed']);
  });

  it('keeps a machine’s id when others come before it', async () => {
    const local = await start([machine(2)]);
    const [before] = (await run()).machines;
    await local.write(inventory([machine(1), machine(2)]));
    const after = (await run()).machines.find(({ name }) => name === 'machine 2');
    expect(after?.moref).toBe(before?.moref);
  });

  it('serves the last good inventory while the file is broken, and says what is wrong', async () => {
    const local = await start([machine(1)]);
    await writeFile(local.inventoryFile, '{"name": "cont');
    expect((await run()).machines).toHaveLength(1);
    expect(local.problems).toEqual([expect.stringContaining(local.inventoryFile)]);
    await local.write(inventory([machine(1), machine(2)]));
    expect((await run()).machines).toHaveLength(2);
  });

  it('takes a disk’s size from its image', async () => {
    const local = await start([]);
    const image = `${local.inventoryFile}.raw`;
    await writeFile(image, Buffer.alloc(4096));
    await local.write(inventory([machine(1, { disks: [{ image }] })]));
    expect((await run()).machines[0]?.disks).toMatchObject([{ capacityBytes: 4096 }]);
  });

  it.each([
    ['an image that is missing', [machine(1, { disks: [{ image: 'nowhere.raw' }] })], 'nowhere.raw'],
    [
      'a size that is no multiple of 512',
      [machine(1, { disks: [{ capacityBytes: 1000 }] })],
      'capacityBytes',
    ],
    ['a disk without size', [machine(1, { disks: [{}] })], 'neither capacityBytes nor an image'],
    ['the same machine twice', [machine(1), machine(1)], 'of another machine'],
    ['a BIOS uuid that is none', [machine(1, { biosUuid: 'x' })], 'biosUuid'],
  ])('does not start with %s', async (_what, machines, words) => {
    await expect(startLocal(inventory(machines))).rejects.toThrow(words);
  });

  it('refuses a request that is too large, malformed, unknown or holds a document type', async () => {
    await start([]);
    expect(await post('<'.repeat(300 * 1024))).toMatchObject({ status: 413 });
    expect((await post('not xml')).body).toContain('InvalidRequest');
    expect((await post('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')).body).toContain('InvalidRequest');
    const cookie = await logIn();
    expect((await call('<PowerOffVM_Task/>', cookie)).body).toContain(
      'does not know the method PowerOffVM_Task',
    );
    const created = await call(
      '<CreateContainerView><type>VirtualMachine</type></CreateContainerView>',
      cookie,
    );
    const view = /<returnval type="ContainerView">([^<]+)</u.exec(created.body)?.[1] ?? '';
    const unknown = retrieveNames(view, 10).replace('>name<', '>summary<');
    const fault = parseXml((await call(unknown, cookie)).body)
      .child('Envelope')
      ?.child('Body')
      ?.child('Fault');
    expect(fault?.child('detail')?.elements()[0]?.element.xsiType).toBe('InvalidProperty');
  });

  it('shows the ESXi host of the shared inventory as one', async () => {
    server = await startLocal(sharedInventory('HostAgent'));
    const client = await connect();
    expect(client.about).toMatchObject({ apiType: 'HostAgent', instanceUuid: undefined });
    await client.close();
  });

  it('runs as a process of its own until its parent lets go of it', async () => {
    const local = await start([machine(1)]);
    const main = new URL('../../../local/vcenter/main.ts', import.meta.url);
    const child = fork(main, ['--inventory', local.inventoryFile], { silent: true });
    const exit = once(child, 'exit');
    const output = createInterface({ input: child.stdout ?? process.stdin });
    const [line] = (await once(output, 'line')) as [string];
    const ready = JSON.parse(line) as { port: number; fingerprint: string };
    expect(ready).toMatchObject({ ready: true, url: `https://127.0.0.1:${ready.port}/sdk` });
    const { fingerprint, port } = ready;
    const client = await VSphereClient.connect({ host: '127.0.0.1', port, ...account, fingerprint });
    expect((await discover(client, 'contoso')).machines).toHaveLength(1);
    await client.close();
    child.disconnect();
    expect(await exit).toEqual([0, null]);
  });
});
