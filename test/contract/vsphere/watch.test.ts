// oxlint-disable vitest/no-standalone-expect -- what holds after every test stands in a hook
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { VCenterWatcher } from '../../../appliance/configuration-server/vcenter-watcher.ts';
import { VSphereClient } from '../../../appliance/configuration-server/vsphere/client.ts';
import { discover } from '../../../appliance/configuration-server/vsphere/discover.ts';
import type { Reference } from '../../../appliance/configuration-server/vsphere/service-content.ts';
import type { VCenterInventory } from '../../../local/vcenter/inventory.ts';
import type { DiscoveredMachine, DiscoveryReport } from '../../../shared/wire/discovery.ts';
import { account, sharedInventory, startLocal, type LocalServer, type TestServer } from './servers.ts';
import { startVcsim, whyNoVcsim } from './vcsim.ts';

const noVcsim = whyNoVcsim();
const skipsVcsim = noVcsim !== undefined && process.env['CI'] !== 'true';
const vCenterName = 'vc1';

/** A watcher whose reports a test can wait for. */
class Heard {
  readonly reports: DiscoveryReport[] = [];
  readonly lost: unknown[] = [];
  watcher: VCenterWatcher | undefined;

  static async on(server: TestServer, ownBiosUuid?: string): Promise<Heard> {
    const heard = new Heard();
    heard.watcher = await VCenterWatcher.start({
      vCenterName,
      settings: settingsOf(server),
      ownBiosUuid,
      onReport: (report) => heard.reports.push(report),
      onLost: (error) => heard.lost.push(error),
    });
    heard.reports.push(heard.watcher.first);
    return heard;
  }

  get last(): DiscoveryReport {
    const last = this.reports.at(-1);
    if (last === undefined) throw new Error('Nothing was heard');
    return last;
  }

  /** Waits until the newest picture has a machine like this. */
  async until(like: Partial<DiscoveredMachine>): Promise<void> {
    const machines = () => this.last.machines;
    await expect.poll(machines, { timeout: 5_000 }).toContainEqual(expect.objectContaining(like));
  }

  named(name: string): DiscoveredMachine {
    const found = this.last.machines.find((machine) => machine.name === name);
    if (found === undefined) throw new Error(`${name} is not in the picture`);
    return found;
  }
}

for (const mode of ['vpx', 'esx'] as const) {
  describe.skipIf(skipsVcsim)(`watching govmomi’s ${mode === 'vpx' ? 'vCenter' : 'ESXi host'}`, () => {
    let server: TestServer;
    let client: VSphereClient;
    let heard: Heard;

    beforeAll(async () => {
      server = await startVcsim(mode, account);
      client = await VSphereClient.connect(settingsOf(server));
    });
    afterAll(async () => {
      await client.close();
      await server.close();
    });
    beforeEach(async () => {
      heard = await Heard.on(server);
    });
    afterEach(async () => {
      // what was heard bit by bit is what is there
      expect({ ...heard.last, discoveredAtMs: 0 }).toEqual({
        ...(await discover(client, vCenterName)),
        discoveredAtMs: 0,
      });
      await heard.watcher?.close();
      expect(heard.lost).toEqual([]);
    });

    const machine = (name: string): Reference => ({ type: 'VirtualMachine', moref: heard.named(name).moref });

    it('a renamed machine stays the same', async () => {
      const { biosUuid, instanceUuid } = heard.named('diskless');
      await client.call('Rename_Task', machine('diskless'), '<newName>renamed%2f1</newName>');
      await heard.until({ name: 'renamed/1', biosUuid, instanceUuid: instanceUuid ?? '' });
      await client.call('Rename_Task', machine('renamed/1'), '<newName>diskless</newName>');
      await heard.until({ name: 'diskless' });
      expect(heard.named('diskless').biosUuid).toBe(biosUuid);
    });

    it('hears of power, and of a machine that is taken out of the inventory', async () => {
      await client.call('PowerOffVM_Task', machine('web/01 100% 💾'), '');
      await heard.until({ name: 'web/01 100% 💾', powerState: 'poweredOff' });
      await client.call('UnregisterVM', machine('db & <files>'), '');
      const names = () => heard.last.machines.map(({ name }) => name);
      await expect.poll(names, { timeout: 5_000 }).not.toContain('db & <files>');
    });

    it.skipIf(mode === 'esx')('a cloned machine is another one', async () => {
      const source = heard.named('diskless');
      const folder = await parentOf(client, machine('diskless'));
      const spec = '<spec><location/><template>false</template><powerOn>false</powerOn></spec>';
      await client.call(
        'CloneVM_Task',
        machine('diskless'),
        `${refXml('folder', folder)}<name>copy</name>${spec}`,
      );
      await heard.until({ name: 'copy' });
      const copy = heard.named('copy');
      expect([copy.moref, copy.biosUuid, copy.instanceUuid]).not.toContain(source.moref);
      expect(copy.biosUuid).not.toBe(source.biosUuid);
      expect(copy.instanceUuid).not.toBe(source.instanceUuid);
    });

    it('says where a machine lies', () => {
      const { datacenter, cluster, folder } = heard.named('diskless');
      const inCluster = heard.last.machines.map((one) => one.cluster);
      expect(datacenter).toBe(mode === 'vpx' ? 'DC0' : 'ha-datacenter');
      expect(folder).toBeUndefined();
      expect(cluster).toBe(mode === 'vpx' ? 'DC0_C0' : undefined);
      expect(new Set(inCluster).size).toBe(1);
    });
  });
}

describe('watching the local vCenter', () => {
  let server: LocalServer;
  let inventory: VCenterInventory;

  beforeEach(async () => {
    inventory = { ...sharedInventory('VirtualCenter'), cluster: 'Production' };
    server = await startLocal(inventory);
  });
  afterEach(async () => server.close());

  it('hears of what is new, moved, changed and gone, and ends with the picture of a whole discovery', async () => {
    const heard = await Heard.on(server);
    const [web, db, ...rest] = inventory.machines;
    const added = {
      name: 'added',
      biosUuid: '4206e2c4-0009-4f6b-9e1a-0d5c7a3b0009',
      folder: 'Production/Web',
    };
    await server.write({
      ...inventory,
      machines: [{ ...web!, folder: 'Moved', memoryMB: 8192 }, ...rest, added],
    });
    await heard.until({ name: 'added', folder: 'Production/Web', cluster: 'Production' });
    await heard.until({ name: web!.name, folder: 'Moved', memoryMB: 8192 });
    expect(heard.last.machines.map(({ name }) => name)).not.toContain(db!.name);
    const client = await VSphereClient.connect(settingsOf(server));
    expect({ ...heard.last, discoveredAtMs: 0 }).toEqual({
      ...(await discover(client, vCenterName)),
      discoveredAtMs: 0,
    });
    await client.close();
    await heard.watcher?.close();
  });

  it('a machine that is registered anew has another id and the same uuids', async () => {
    const heard = await Heard.on(server);
    const [web, ...rest] = inventory.machines;
    const { moref, biosUuid, instanceUuid } = heard.named(web!.name);
    await server.write({ ...inventory, machines: [{ ...web!, moref: 'vm-99999' }, ...rest] });
    await heard.until({ name: web!.name, moref: 'vm-99999', biosUuid, instanceUuid: instanceUuid ?? '' });
    expect(heard.last.machines.map((one) => one.moref)).not.toContain(moref);
    await heard.watcher?.close();
  });

  it('hears of more changes than fit into one answer', async () => {
    const heard = await Heard.on(server);
    const many = Array.from({ length: 600 }, (_, index) => ({
      name: `machine-${index}`,
      moref: `vm-${index}`,
      biosUuid: `4206e2c4-0009-4f6b-9e1a-${String(index).padStart(12, '0')}`,
    }));
    await server.write({ ...inventory, machines: many });
    await expect.poll(() => heard.last.machines.length, { timeout: 30_000 }).toBe(600);
    await heard.watcher?.close();
  });

  it.each([
    ['as vSphere writes it', '4206e2c4-0005-4f6b-9e1a-0d5c7a3b0005'],
    ['with its bytes turned round, as firmware may write it', 'c4e20642-0500-6b4f-9e1a-0d5c7a3b0005'],
  ])('leaves the appliance itself out, its uuid %s', async (_, ownBiosUuid) => {
    const heard = await Heard.on(server, ownBiosUuid);
    expect(heard.last.machines.map(({ name }) => name)).not.toContain('plain');
    expect(heard.last.leftOut).toMatchObject([
      { name: 'plain', reason: expect.stringContaining('appliance') },
    ]);
    await heard.watcher?.close();
  });

  it('says that it is lost when the server goes away', async () => {
    const heard = await Heard.on(server);
    await server.close();
    await expect.poll(() => heard.lost, { timeout: 5_000 }).toMatchObject([{ reason: 'Unreachable' }]);
    await heard.watcher?.close();
  });
});

function settingsOf(server: TestServer) {
  return { host: '127.0.0.1', port: server.port, ...account };
}

async function parentOf(client: VSphereClient, machine: Reference): Promise<Reference> {
  return referenceIn(client, machine, 'parent');
}

async function referenceIn(client: VSphereClient, machine: Reference, path: string): Promise<Reference> {
  const value = (await client.read(machine, [path]))?.properties.get(path);
  return { type: value?.attribute('type') ?? '', moref: value?.text ?? '' };
}

function refXml(name: string, { type, moref }: Reference): string {
  return `<${name} type="${type}">${moref}</${name}>`;
}
