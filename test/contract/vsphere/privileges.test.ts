import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listRoles } from '../../../appliance/configuration-server/vsphere/authorization.ts';
import { VSphereClient } from '../../../appliance/configuration-server/vsphere/client.ts';
import { grantRole } from '../../../appliance/configuration-server/vsphere/grant.ts';
import { checkPrivileges } from '../../../appliance/configuration-server/vsphere/privilege-check.ts';
import { roleName } from '../../../appliance/configuration-server/vsphere/required-privileges.ts';
import { VCenterPrivileges } from '../../../shared/wire/vcenter-privileges.ts';
import { account, sharedInventory, startLocal, type TestServer } from './servers.ts';
import { startVcsim, whyNoVcsim } from './vcsim.ts';

const noVcsim = whyNoVcsim();
const skipsVcsim = noVcsim !== undefined && process.env['CI'] !== 'true';
const administrator = { user: 'root@vsphere.local', password: 'of the administrator' };
const principal = 'replicator@vsphere.local';

const servers = [
  {
    name: 'the local vCenter',
    start: () => startLocal({ ...sharedInventory('VirtualCenter'), administrator }),
    login: administrator,
    skip: false,
  },
  {
    name: 'the local vCenter as an ESXi host',
    start: () => startLocal({ ...sharedInventory('HostAgent'), administrator }),
    login: administrator,
    skip: false,
  },
  { name: 'govmomi’s vCenter', start: () => startVcsim('vpx', account), login: account, skip: skipsVcsim },
  { name: 'govmomi’s ESXi host', start: () => startVcsim('esx', account), login: account, skip: skipsVcsim },
];

for (const { name, start, login, skip } of servers) {
  describe.skipIf(skip)(`granting the role on ${name}`, () => {
    let server: TestServer;
    let client: VSphereClient;

    beforeAll(async () => {
      server = await start();
      client = await connect(server, login);
    });
    afterAll(async () => {
      await client.close();
      await server.close();
    });

    it('makes the role and gives it on the datacenter, to be inherited', async () => {
      const grant = await grantRole(client, { principal, replaces: false });
      expect(grant).toMatchObject({ role: roleName, roleChange: 'made', permission: 'given', principal });
      expect(grant.addedPrivileges.length).toBeGreaterThan(40);
      const role = (await listRoles(client)).find((one) => one.name === roleName);
      expect(role?.privileges).toEqual(expect.arrayContaining(grant.addedPrivileges));
      expect(role?.privileges).toEqual(
        expect.arrayContaining(['VirtualMachine.Config.ChangeTracking', 'System.View']),
      );
    });

    it('changes nothing when it is repeated', async () => {
      expect(await grantRole(client, { principal, replaces: false })).toMatchObject({
        roleChange: 'unchanged',
        addedPrivileges: [],
        permission: 'unchanged',
      });
    });

    it('knows an account under both forms of its name', async () => {
      const other = await grantRole(client, {
        principal: String.raw`VSPHERE.LOCAL\Replicator`,
        replaces: false,
      });
      expect(other.permission).toBe('unchanged');
    });

    it('names the datacenters there are when the wanted one is not among them', async () => {
      const refused = grantRole(client, { principal, replaces: false, datacenter: 'nowhere' });
      await expect(refused).rejects.toMatchObject({
        fault: { code: 'ResourceNotFound', target: 'datacenter' },
      });
    });

    it('answers what an account may do', async () => {
      const found = await checkPrivileges(client, login.user);
      expect(VCenterPrivileges.parse(found)).toEqual(found);
      expect(found).toMatchObject({ discovery: [], fullCycle: [], unreadable: [], hidden: [], machines: 5 });
    });
  });
}

describe('an account on a vCenter that enforces privileges', () => {
  let server: Awaited<ReturnType<typeof startLocal>>;
  const sessions: VSphereClient[] = [];
  const session = async (login: typeof account): Promise<VSphereClient> => {
    const client = await connect(server, login);
    sessions.push(client);
    return client;
  };
  const inventory = { ...sharedInventory('VirtualCenter'), administrator };

  beforeAll(async () => {
    const special = [machine('listed', 'list', 1), machine('secret', 'none', 2)];
    server = await startLocal({ ...inventory, machines: [...inventory.machines, ...special] });
  });
  afterAll(async () => {
    await Promise.all(sessions.map(async (client) => client.close()));
    await server.close();
  });

  it('that is read-only lacks nothing for discovery but on what it can’t read, and much for the full cycle', async () => {
    const found = await checkPrivileges(await session(account), account.user);
    expect(found.discovery).toEqual([
      {
        privilege: 'System.Read',
        count: 1,
        objects: [{ type: 'VirtualMachine', moref: 'vm-1', name: 'listed' }],
      },
    ]);
    const lacking = found.fullCycle.map(({ privilege }) => privilege);
    expect(lacking).toEqual(expect.arrayContaining(['Network.Assign', 'VirtualMachine.Interact.PowerOff']));
    expect(found.unreadable).toEqual([{ type: 'VirtualMachine', moref: 'vm-1', name: 'listed' }]);
  });

  it('hears of a hidden machine through its host, by its id alone', async () => {
    const found = await checkPrivileges(await session(account), account.user);
    expect(found.hidden).toEqual([{ type: 'VirtualMachine', moref: 'vm-2', name: '' }]);
    expect(found).toMatchObject({ noAccess: [], asAdministrator: false });
  });

  it('is told by an administrator what No access hides, by name', async () => {
    const found = await checkPrivileges(await session(account), account.user, await session(administrator));
    const secret = { type: 'VirtualMachine', moref: 'vm-2', name: 'secret' };
    expect(found).toMatchObject({ hidden: [secret], noAccess: [secret], asAdministrator: true });
  });

  it('may not grant itself anything', async () => {
    const refused = grantRole(await session(account), { principal: account.user, replaces: false });
    await expect(refused).rejects.toMatchObject({
      reason: 'NoPermission',
      message: expect.stringContaining('Authorization.ModifyRoles'),
    });
  });

  it('lacks nothing for the full cycle after the grant, but on what is hidden from it', async () => {
    await grantRole(await session(administrator), { principal: account.user, replaces: false });
    const found = await checkPrivileges(await session(account), account.user);
    const objects = new Set(found.fullCycle.flatMap((lacking) => lacking.objects.map(({ moref }) => moref)));
    expect([...objects]).toEqual(['vm-1']);
  });
});

describe('an account that has another role on the datacenter', () => {
  it('keeps it until it is said to be replaced', async () => {
    const server = await startLocal({ ...sharedInventory('VirtualCenter'), administrator });
    const client = await connect(server, administrator);
    await client.call(
      'SetEntityPermissions',
      client.service.authorizationManager,
      `<entity type="Datacenter">datacenter-1</entity><permission><principal>${principal}</principal>\
<group>false</group><roleId>-2</roleId><propagate>true</propagate></permission>`,
    );
    const options = { principal, replaces: false };
    await expect(grantRole(client, options)).rejects.toMatchObject({ fault: { code: 'Conflict' } });
    expect((await listRoles(client)).map(({ name }) => name)).not.toContain(roleName);
    expect(await grantRole(client, { ...options, replaces: true })).toMatchObject({
      replacedRole: 'ReadOnly',
    });
    await client.close();
    await server.close();
  });
});

async function connect(
  server: TestServer,
  login: { user: string; password: string },
): Promise<VSphereClient> {
  return VSphereClient.connect({ host: '127.0.0.1', port: server.port, ...login });
}

function machine(name: string, access: 'list' | 'none', number: number) {
  const biosUuid = `4206e2c4-0009-4f6b-9e1a-0d5c7a3b000${number}`;
  return { name, access, moref: `vm-${number}`, biosUuid };
}
