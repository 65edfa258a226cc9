import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VSphereClient } from '../../../appliance/configuration-server/vsphere/client.ts';
import { discover } from '../../../appliance/configuration-server/vsphere/discover.ts';
import { DiscoveryReport, type DiscoveredMachine } from '../../../shared/wire/discovery.ts';
import { account, sharedInventory, startLocal, type TestServer } from './servers.ts';
import { startVcsim, whyNoVcsim } from './vcsim.ts';

const noVcsim = whyNoVcsim();
// On a build machine a suite that silently leaves out its independent half would be worse than a red one.
const skipsVcsim = noVcsim !== undefined && process.env['CI'] !== 'true';

const servers = [
  {
    name: 'the local vCenter',
    apiType: 'VirtualCenter',
    start: () => startLocal(sharedInventory('VirtualCenter')),
    skip: false,
  },
  {
    name: 'the local vCenter as an ESXi host',
    apiType: 'HostAgent',
    start: () => startLocal(sharedInventory('HostAgent')),
    skip: false,
  },
  {
    name: `govmomi’s vCenter${skipsVcsim ? ` (skipped: ${noVcsim})` : ''}`,
    apiType: 'VirtualCenter',
    start: () => startVcsim('vpx', account),
    skip: skipsVcsim,
  },
  {
    name: `govmomi’s ESXi host${skipsVcsim ? ` (skipped: ${noVcsim})` : ''}`,
    apiType: 'HostAgent',
    start: () => startVcsim('esx', account),
    skip: skipsVcsim,
  },
];

for (const { name, apiType, start, skip } of servers) {
  describe.skipIf(skip)(`discovery on ${name}`, () => {
    let server: TestServer | undefined;
    let report: DiscoveryReport;

    const connect = (changes: { password?: string; fingerprint?: string } = {}): Promise<VSphereClient> =>
      VSphereClient.connect({ host: '127.0.0.1', port: server?.port ?? 0, ...account, ...changes });

    const run = async (fingerprint?: string): Promise<DiscoveryReport> => {
      const client = await connect(fingerprint === undefined ? {} : { fingerprint });
      try {
        return await discover(client, 'contoso-vcenter');
      } finally {
        await client.close();
      }
    };

    const machine = (machineName: string): DiscoveredMachine => {
      const found = report.machines.find((candidate) => candidate.name === machineName);
      if (found === undefined) throw new Error(`${machineName} was not discovered`);
      return found;
    };

    beforeAll(async () => {
      if (noVcsim !== undefined && name.startsWith('govmomi')) throw new Error(noVcsim);
      server = await start();
      report = await run();
    });
    afterAll(() => server?.close());

    it('gives a report of the wire’s schema', () => {
      expect(DiscoveryReport.parse(report)).toEqual(report);
      expect(report).toMatchObject({ vCenterName: 'contoso-vcenter', apiType, leftOut: [] });
      expect(report.version).toMatch(/^\d+\.\d+/u);
    });

    it('finds every machine under the name people read, and no template', () => {
      const names = report.machines.map((found) => found.name);
      expect(names).toHaveLength(4);
      expect(names).toEqual(expect.arrayContaining(['web/01 100% 💾', 'db & <files>', 'diskless']));
      expect(names).not.toContain('golden image');
    });

    it('describes a running machine', () => {
      expect(machine('web/01 100% 💾')).toMatchObject({
        biosUuid: '4206e2c4-0001-4f6b-9e1a-0d5c7a3b0001',
        instanceUuid: '5006e2c4-0001-4f6b-9e1a-0d5c7a3b0001',
        powerState: 'poweredOn',
        connectionState: 'connected',
        osType: 'LINUX',
        guestId: 'ubuntu64Guest',
        firmware: 'efi',
        cpus: 2,
        memoryMB: 2048,
        hostName: 'web01.contoso.example',
        ipAddresses: ['10.0.0.11'],
      });
      expect(machine('web/01 100% 💾').nics).toMatchObject([{ ipAddresses: ['10.0.0.11'] }]);
    });

    it('says where a machine runs and lies', () => {
      const { host, datastores } = machine('web/01 100% 💾');
      expect(host?.name).toMatch(/./u);
      expect(host?.name).not.toBe(host?.moref);
      expect(datastores).toHaveLength(1);
    });

    it('describes each disk with its controller, size and file', () => {
      const { disks } = machine('web/01 100% 💾');
      expect(disks).toHaveLength(1);
      expect(disks[0]).toMatchObject({
        capacityBytes: 1024 * 1024,
        backing: 'vmdk',
        shared: false,
        controller: { type: 'ParaVirtualSCSIController', unitNumber: 0 },
      });
      expect(disks[0]?.backingFile).toMatch(/^\[.+\] .+\.vmdk$/u);
      expect(disks[0]?.diskId).toMatch(/./u);
    });

    it('reports a machine that is powered off', () => {
      expect(machine('db & <files>')).toMatchObject({
        powerState: 'poweredOff',
        osType: 'WINDOWS',
        firmware: 'bios',
        ipAddresses: [],
      });
    });

    it('reports a machine without disks', () => {
      expect(machine('diskless')).toMatchObject({ disks: [], osType: 'OTHER' });
    });

    it('finds the same again with the certificate it saw at first', async () => {
      const again = await run(report.fingerprint);
      expect({ ...again, discoveredAtMs: 0 }).toEqual({ ...report, discoveredAtMs: 0 });
    });

    it('refuses a wrong password with what to do, without the password', async () => {
      const error = await connect({ password: 'wrong-secret' }).catch((caught: unknown) => caught);
      expect(error).toMatchObject({ reason: 'InvalidLogin', fault: { code: 'AuthenticationFailed' } });
      expect(JSON.stringify(error)).not.toContain('wrong-secret');
      expect(String(error)).not.toContain('wrong-secret');
    });

    it('refuses a certificate other than the pinned one and names both', async () => {
      const pinned = report.fingerprint.replace(/^../u, (first) => (first === '00' ? '11' : '00'));
      await expect(connect({ fingerprint: pinned })).rejects.toMatchObject({
        reason: 'CertificateChanged',
        message: expect.stringMatching(new RegExp(`${pinned}.*${report.fingerprint}`, 'u')),
      });
    });
  });
}
