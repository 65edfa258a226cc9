import { ServiceBusAdministrationClient } from '@azure/service-bus';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type CheckInBody } from '../../shared/wire/check-in.ts';
import { type TestPlatform, listAll, startTestPlatform } from './platform.ts';
import { TestAppliance, discoveredMachine, discovery, heartbeat, makeKeyPair } from './test-appliance.ts';

describe('what appliances say', () => {
  let platform: TestPlatform;
  let vaults = 0;

  beforeAll(async () => {
    platform = await startTestPlatform();
  });

  afterAll(async () => {
    await platform.close();
  });

  async function freshVault(): Promise<string> {
    const name = `Vault-${(vaults += 1)}`;
    await platform.request('PUT', platform.vaultId(name), { body: { location: 'eastus' } });
    return name;
  }

  /** How many check-ins wait, and how many were given up. */
  function queue() {
    const { serviceBusConnectionString, serviceBusAdminEndpoint } = platform.platform.config;
    const administration = new ServiceBusAdministrationClient(
      serviceBusConnectionString.replace(/sb:\/\/[^;]+/u, `sb://${serviceBusAdminEndpoint}/`),
    );
    return administration.getQueueRuntimeProperties('agent-checkins');
  }

  describe('check-ins', () => {
    let appliance: TestAppliance;
    let resourceName: string;
    let fabricName: string;
    let containerName: string;

    beforeAll(async () => {
      resourceName = await freshVault();
      appliance = await TestAppliance.register(platform, resourceName);
      ({ fabricName, containerName } = appliance.registration);
    });

    afterAll(async () => {
      await appliance.close();
    });

    const fabric = () =>
      platform.siteRecovery().replicationFabrics.get(resourceName, platform.resourceGroup, fabricName);

    async function machineNames(filter?: string): Promise<string[]> {
      const items = platform
        .siteRecovery()
        .replicationProtectableItems.listByReplicationProtectionContainers(
          resourceName,
          platform.resourceGroup,
          fabricName,
          containerName,
          filter === undefined ? {} : { filter },
        );
      return (await listAll(items)).map(({ properties }) => properties?.friendlyName ?? '').sort();
    }

    it('show a fabric, a provider and a container from the moment of registration', async () => {
      const client = platform.siteRecovery();
      const { resourceGroup } = platform;
      expect(await fabric()).toMatchObject({
        name: fabricName,
        type: 'Microsoft.RecoveryServices/vaults/replicationFabrics',
        properties: {
          friendlyName: 'ContosoCS',
          health: 'Normal',
          customDetails: { instanceType: 'VMware', csServiceStatus: 'Running' },
        },
      });
      const providers = await listAll(
        client.replicationRecoveryServicesProviders.list(resourceName, resourceGroup),
      );
      expect(providers).toMatchObject([
        { name: appliance.registration.applianceId, properties: { connectionStatus: 'Connected' } },
      ]);
      const containers = await listAll(
        client.replicationProtectionContainers.list(resourceName, resourceGroup),
      );
      expect(containers).toMatchObject([
        { name: containerName, properties: { role: 'Primary', fabricType: 'VMware' } },
      ]);
    });

    it('bring the heartbeat into the fabric', async () => {
      await appliance.checkIn(heartbeat());
      await vi.waitFor(
        async () => {
          expect(await fabric()).toMatchObject({
            properties: {
              // A traffic light counts once it has been on for 15 minutes.
              health: 'Normal',
              customDetails: {
                runAsAccounts: [{ accountId: '1', accountName: 'vcenteruser' }],
                processServers: [{ cpuLoad: '97%', cpuLoadStatus: 'Red', memoryUsageStatus: 'Green' }],
              },
            },
          });
        },
        { timeout: 20_000, interval: 100 },
      );
    });

    it('change nothing when they are forged or late, and the forged one lands in the dead-letter queue', async () => {
      const silent = { ...heartbeat(), accounts: [] } as CheckInBody;
      await appliance.checkIn(silent, { sequence: 1_000, key: makeKeyPair() });
      await appliance.checkIn(silent, { epoch: 1, sequence: 1 });
      await vi.waitFor(
        async () => {
          expect(await queue()).toMatchObject({ activeMessageCount: 0, deadLetterMessageCount: 1 });
        },
        { timeout: 20_000, interval: 200 },
      );
      expect(await fabric()).toMatchObject({
        properties: { customDetails: { runAsAccounts: [{ accountId: '1', accountName: 'vcenteruser' }] } },
      });
    });

    it('bring discovered machines, and what becomes of them', async () => {
      const vCenter = 'vcenter67';
      const first = [discoveredMachine(1), discoveredMachine(2), discoveredMachine(3, { disks: [] })];
      await appliance.checkIn(discovery(vCenter, first), { sequence: 10 });
      await vi.waitFor(async () => expect(await machineNames()).toEqual(['web-1', 'web-2', 'web-3']), {
        timeout: 20_000,
        interval: 100,
      });
      expect(await machineNames("friendlyName eq 'web-2' and state eq 'Unprotected'")).toEqual(['web-2']);
      const second = [discoveredMachine(1, { name: "zeb's one", moref: 'vm-900' }), discoveredMachine(4)];
      await appliance.checkIn(discovery(vCenter, second), { sequence: 12 });
      await vi.waitFor(async () => expect(await machineNames()).toEqual(['web-4', "zeb's one"]), {
        timeout: 20_000,
        interval: 100,
      });
      // A report older than the last one changes nothing.
      await appliance.checkIn(discovery(vCenter, first), { sequence: 11 });
      await appliance.checkIn(discovery('other', [discoveredMachine(7)]), { sequence: 13 });
      await vi.waitFor(async () => expect(await machineNames()).toEqual(['web-4', 'web-7', "zeb's one"]), {
        timeout: 20_000,
        interval: 100,
      });
    });

    it('give machines in pages', async () => {
      const path = `${platform.vaultId(resourceName)}/replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}/replicationProtectableItems?$take=2&api-version=2023-06-01`;
      const first = await platform.request('GET', path);
      const { value, nextLink } = first.body as { value: object[]; nextLink: string };
      expect(value).toHaveLength(2);
      const next = new URL(nextLink);
      const second = await platform.request('GET', `${next.pathname}${next.search}`);
      expect(second).toMatchObject({ status: 200, body: { nextLink: null } });
      expect((second.body as { value: object[] }).value).toHaveLength(1);
    });

    it.each(['$filter=name gt 5', '$take=0', '$take=x', '$skipToken=zzz', "$filter=owner eq 'x'"])(
      'refuse a list with %s',
      async (query) => {
        const path = `${platform.vaultId(resourceName)}/replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}/replicationProtectableItems?${query}`;
        expect(await platform.request('GET', path)).toMatchObject({
          status: 400,
          body: { error: { code: 'InvalidRequest' } },
        });
      },
    );

    it('may go by claim check, which is refused when it is not what the appliance signed', async () => {
      const machines = Array.from({ length: 300 }, (_, number) => discoveredMachine(100 + number));
      await appliance.checkInByClaim(discovery('large', machines), { sequence: 15, sha256: '0'.repeat(64) });
      await vi.waitFor(async () => expect((await queue()).deadLetterMessageCount).toBe(2), {
        timeout: 20_000,
        interval: 200,
      });
      expect(await machineNames()).toHaveLength(3);
      await appliance.checkInByClaim(discovery('large', machines), { sequence: 16 });
      await vi.waitFor(async () => expect(await machineNames()).toHaveLength(303), {
        timeout: 20_000,
        interval: 200,
      });
    });

    it('say why a machine can not be protected', async () => {
      await appliance.checkIn(
        discovery('esxi', [
          discoveredMachine(21, { disks: [] }),
          discoveredMachine(22, { powerState: 'poweredOff', name: 'asleep' }),
        ]),
        { sequence: 20 },
      );
      await vi.waitFor(async () => expect(await machineNames()).toContain('asleep'), { timeout: 20_000 });
      const path = `${platform.vaultId(resourceName)}/replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}/replicationProtectableItems`;
      const { body } = await platform.request('GET', path);
      const items = (body as { value: { properties: Record<string, unknown> }[] }).value;
      const errorsOf = (name: string) =>
        items.find(({ properties }) => properties['friendlyName'] === name)?.properties[
          'protectionReadinessErrors'
        ];
      expect(errorsOf('web-21')).toEqual([expect.stringContaining('no disks')]);
      expect(errorsOf('asleep')).toEqual([expect.stringContaining('not powered on')]);
      expect(errorsOf('web-4')).toEqual([]);
    });
  });

  describe('jobs that ask the appliance', () => {
    let appliance: TestAppliance;
    let resourceName: string;
    let fabricName: string;

    beforeAll(async () => {
      resourceName = await freshVault();
      appliance = await TestAppliance.register(platform, resourceName);
      ({ fabricName } = appliance.registration);
    });

    afterAll(async () => {
      await appliance.close();
    });

    const addVCenter = (name: string, properties: object = {}) =>
      platform.siteRecovery().replicationvCenters.beginCreateAndWait(
        resourceName,
        platform.resourceGroup,
        fabricName,
        name,
        {
          properties: {
            friendlyName: name,
            ipAddress: '10.150.4.17',
            port: '443',
            processServerId: appliance.registration.applianceId,
            runAsAccountId: '1',
            ...properties,
          },
        },
        { updateIntervalInMs: 200 },
      );

    it('add a vCenter once its machines are known', async () => {
      appliance.answer = async ({ body }) => {
        if (body.kind === 'addVCenter') {
          await appliance.checkIn(discovery(body.vCenterName, [discoveredMachine(31)]), { sequence: 5 });
        }
        return { outcome: 'succeeded' };
      };
      const vCenter = await addVCenter('vcenter67');
      expect(vCenter).toMatchObject({
        name: 'vcenter67',
        properties: {
          ipAddress: '10.150.4.17',
          port: '443',
          runAsAccountId: '1',
          discoveryStatus: 'Succeeded',
        },
      });
      expect(appliance.commands.map(({ body }) => body)).toEqual([
        { kind: 'addVCenter', vCenterName: 'vcenter67', address: '10.150.4.17', port: 443, accountId: '1' },
      ]);
      const jobs = await listAll(
        platform.siteRecovery().replicationJobs.list(resourceName, platform.resourceGroup),
      );
      expect(jobs).toMatchObject([
        {
          properties: {
            scenarioName: 'DiscoverVCenter',
            friendlyName: 'Add vCenter server',
            state: 'Succeeded',
          },
        },
      ]);
    });

    it('leave nothing of a vCenter that the appliance can not reach', async () => {
      appliance.answer = async ({ body }) =>
        body.kind === 'addVCenter'
          ? {
              outcome: 'failed',
              fault: { code: 'RemoteFailure', message: 'The vCenter server refused the account.' },
            }
          : { outcome: 'succeeded' };
      await expect(addVCenter('broken')).rejects.toThrow(/refused the account/u);
      const vCenters = await listAll(
        platform.siteRecovery().replicationvCenters.list(resourceName, platform.resourceGroup),
      );
      expect(vCenters.map(({ name }) => name)).toEqual(['vcenter67']);
      expect(appliance.commands.at(-1)?.body).toEqual({ kind: 'removeVCenter', vCenterName: 'broken' });
    });

    it.each([
      ['port', { port: '99999' }],
      ['ipAddress', { ipAddress: 'a b' }],
      ['processServerId', { processServerId: 'another' }],
    ])('refuse a vCenter with a wrong %s and start no job', async (field, properties) => {
      await expect(addVCenter('wrong', properties)).rejects.toMatchObject({
        statusCode: 400,
        message: expect.stringMatching(
          new RegExp(field === 'processServerId' ? 'process server' : field, 'u'),
        ) as string,
      });
    });

    it('refresh the server', async () => {
      appliance.answer = async () => ({ outcome: 'succeeded' });
      const { applianceId } = appliance.registration;
      await platform
        .siteRecovery()
        .replicationRecoveryServicesProviders.beginRefreshProviderAndWait(
          resourceName,
          platform.resourceGroup,
          fabricName,
          applianceId,
          { updateIntervalInMs: 200 },
        );
      expect(appliance.commands.at(-1)?.body).toEqual({ kind: 'refresh' });
    });

    it('do not let a vault go that holds a configuration server', async () => {
      const { vaults: client } = platform.vaults();
      await expect(client.delete(platform.resourceGroup, resourceName)).rejects.toMatchObject({
        statusCode: 409,
        code: 'ServiceResourceNotEmptyWithContainerDetails',
        message: expect.stringContaining('configuration servers') as string,
      });
      expect(await client.get(platform.resourceGroup, resourceName)).toMatchObject({ name: resourceName });
    });
  });
});
