import type { InMageAzureV2ReplicationDetails } from '@azure/arm-recoveryservices-siterecovery';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { listAll } from './platform.ts';
import { ProtectionSite, policyName, quick, soon, vaultName } from './protection-site.ts';
import { discoveredMachine } from './test-appliance.ts';
import { extentBytes } from './test-replication.ts';

describe('protection', () => {
  let site: ProtectionSite;

  beforeAll(async () => {
    site = await ProtectionSite.start([
      ...Array.from({ length: 10 }, (_, at) => discoveredMachine(at + 1)),
      discoveredMachine(50, { disks: [] }),
      discoveredMachine(51, { powerState: 'poweredOff' }),
    ]);
  });

  beforeEach(() => {
    site.replication.instead.clear();
  });

  afterAll(async () => {
    await site.close();
  });

  describe('policies and mappings', () => {
    it('create a policy with its failback twin, and tell so in a job', async () => {
      await site.createPolicy();
      const all = await listAll(site.client.replicationPolicies.list(vaultName, site.group));
      expect(all).toMatchObject([
        {
          name: policyName,
          properties: {
            providerSpecificDetails: { instanceType: 'InMageAzureV2', multiVmSyncStatus: 'Enabled' },
          },
        },
        {
          name: `${policyName}-failback`,
          properties: { providerSpecificDetails: { instanceType: 'InMage', recoveryPointHistory: 4_320 } },
        },
      ]);
      expect(await site.job('AddProtectionProfile', policyName)).toMatchObject({
        properties: { state: 'Succeeded', friendlyName: 'Create replication policy' },
      });
    });

    it('associate the policy once, and its twin with it', async () => {
      expect(await site.associate('map1')).toMatchObject({
        properties: { state: 'Paired', targetProtectionContainerId: 'Microsoft Azure' },
      });
      expect(await site.associate('map1')).toMatchObject({ name: 'map1' });
      await expect(site.associate('map2')).rejects.toMatchObject({ statusCode: 409 });
      const all = await listAll(
        site.client.replicationProtectionContainerMappings.list(vaultName, site.group),
      );
      expect(all).toMatchObject([
        { name: 'map1', properties: { policyFriendlyName: policyName } },
        { name: 'map1-failback', properties: { policyFriendlyName: `${policyName}-failback` } },
      ]);
    });
  });

  describe('enabling', () => {
    it('runs the five tasks and protects the machine when its first point is there', async () => {
      const enabled = await site.enable('web-1');
      expect(enabled.properties).toMatchObject({
        friendlyName: 'web-1',
        protectionState: 'InitialReplicationInProgress',
        providerSpecificDetails: { instanceType: 'InMageAzureV2', resyncProgressPercentage: 25 },
      });
      const { properties } = await site.job('EnableDr', 'web-1');
      expect(properties).toMatchObject({ state: 'Succeeded', targetInstanceType: 'ProtectionEntity' });
      expect(properties?.tasks?.map(({ friendlyName, state }) => [friendlyName, state])).toEqual([
        ['Prerequisites check for enabling protection', 'Succeeded'],
        ['Installing Mobility Service and preparing target', 'Succeeded'],
        ['Enable replication', 'Succeeded'],
        ['Starting initial replication', 'Succeeded'],
        ['Updating the provider states', 'Succeeded'],
      ]);
      const { protectedItemId } = await site.replicaLog('web-1');
      expect(site.replication.kindsFor(protectedItemId)).toEqual(['prepareMachine', 'startReplication']);
      expect((await site.machine('web-1'))?.properties).toMatchObject({
        protectionStatus: 'Protected',
        replicationProtectedItemId: expect.stringMatching(/\/replicationProtectedItems\/web-1$/u) as string,
      });
      await site.replication.replicas.get(protectedItemId)!.point(3);
      await site.becomesProtected('web-1');
    });

    it('finalizes protection once, however often the first point is told of', async () => {
      await site.jobEnds('IrCompletion', 'web-1');
      expect(await site.jobsOf('IrCompletion', 'web-1')).toMatchObject([
        { properties: { state: 'Succeeded', friendlyName: 'Finalize protection on the virtual machine' } },
      ]);
      const { properties } = await site.item('web-1');
      expect(properties).toMatchObject({
        replicationHealth: 'Normal',
        failoverHealth: 'Warning',
        healthErrors: [{ errorCode: '161011' }],
        allowedOperations: ['UnplannedFailover', 'DisableProtection', 'TestFailover'],
        currentScenario: { scenarioName: 'None' },
      });
      const details = properties?.providerSpecificDetails as InMageAzureV2ReplicationDetails;
      expect(details.rpoInSeconds).toBeGreaterThanOrEqual(0);
      expect(details.agentVersion).toBe('0.1.0');
      const points = await site.points('web-1');
      expect(points).toMatchObject([{ properties: { recoveryPointType: 'CrashConsistent' } }]);
    });

    it('makes a recovery point when asked', async () => {
      const accepted = await site.platform.request('POST', site.id('secondsite/recoveryPoints'), {
        body: { properties: { protectedItemId: site.itemId('web-1') } },
      });
      expect(accepted.status).toBe(202);
      await site.jobEnds('CreateRecoveryPoint', 'web-1');
      const location = new URL(accepted.headers.get('location') ?? '');
      const made = await site.platform.request('GET', `${location.pathname}${location.search}`);
      const [newest] = await site.points('web-1');
      expect(made).toMatchObject({ status: 200, body: { name: newest?.name } });
      await vi.waitFor(async () => {
        expect((await site.replicaLog('web-1')).points).toMatchObject([
          { sequence: 2, changedBytes: extentBytes },
          { sequence: 1, changedBytes: extentBytes },
        ]);
      }, soon);
    });

    it('is the same when asked for again, and a conflict with other settings or another name', async () => {
      expect(await site.enable('web-1')).toMatchObject({ properties: { protectionState: 'Protected' } });
      expect(await site.jobsOf('EnableDr', 'web-1')).toHaveLength(1);
      const changed = await site.enableBody('web-1', { targetAzureVmName: 'other' });
      expect(await site.put('web-1', changed)).toMatchObject({
        status: 409,
        body: { error: { code: 'Conflict' } },
      });
      expect(await site.put('second', await site.enableBody('web-1'))).toMatchObject({
        status: 409,
        body: { error: { message: expect.stringContaining("'web-1' is protected already") as string } },
      });
      await expect(site.item('second')).rejects.toMatchObject({ statusCode: 404 });
    });

    it('starts one job when the same request comes twice at the same time', async () => {
      const [one, two] = await Promise.all([site.enable('web-2'), site.enable('web-2')]);
      expect(one.id).toBe(two.id);
      expect(await site.jobsOf('EnableDr', 'web-2')).toHaveLength(1);
    });

    it('never shows the data key in a table, a history or a log', async () => {
      const { protectedItemId } = await site.replicaLog('web-1');
      const key = Buffer.from(site.replication.replicas.get(protectedItemId)!.dataKey);
      const sealed = site.appliance.commands.flatMap(({ body }) =>
        body.kind === 'startReplication' ? [body.sealedDataKey] : [],
      );
      const text = [...(await site.rows(/./u)), ...site.platform.lines].join('\n');
      expect(text).toContain(protectedItemId);
      const encodings = ['base64', 'base64url', 'hex'] as const;
      const secrets = [...encodings.map((encoding) => key.toString(encoding)), ...sealed];
      expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
    });
  });

  describe('enabling that fails', () => {
    it.each([
      ['web-3', 'prepareMachine', 'Installing Mobility Service and preparing target'],
      ['web-4', 'startReplication', 'Enable replication'],
    ] as const)('leaves only its job when %s is refused at %s', async (machine, kind, task) => {
      site.replication.instead.set(kind, () => ({
        outcome: 'failed',
        fault: { code: 'RemoteFailure', message: 'No agent is there.', recommendedAction: 'Install it.' },
      }));
      await expect(site.enable(machine)).rejects.toMatchObject({
        message: expect.stringContaining('No agent is there. Install it.') as string,
      });
      const { properties } = await site.jobEnds('EnableDr', machine);
      expect(properties).toMatchObject({
        state: 'Failed',
        errors: [{ serviceErrorDetails: { code: 'RemoteFailure', recommendedAction: 'Install it.' } }],
      });
      expect(properties?.tasks?.find(({ state }) => state === 'Failed')?.friendlyName).toBe(task);
      const protectedItemId = site.replication.lastItemAsked(kind);
      expect(site.replication.kindsFor(protectedItemId).at(-1)).toBe('stopReplication');
      expect(await site.leftOf(machine, protectedItemId)).toEqual([]);
    });

    it('leaves only its job when the target does not fit', async () => {
      const { subscriptionId, resourceGroup } = site.platform;
      const group = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`;
      const target = {
        logStorageAccountId: `${group}/providers/Microsoft.Storage/storageAccounts/contosofarwest`,
        targetAzureNetworkId: `${group}/providers/Microsoft.Network/virtualNetworks/ContosoVNet`,
        targetAzureSubnetId: 'nowhere',
      };
      expect((await site.put('web-8', await site.enableBody('web-8', target))).status).toBe(202);
      const { properties } = await site.jobEnds('EnableDr', 'web-8');
      expect(properties).toMatchObject({
        state: 'Failed',
        tasks: [{ name: 'EnableProtectionPrerequisitesCheck', state: 'Failed' }, {}, {}, {}, {}],
      });
      const error = properties?.errors?.[0]?.serviceErrorDetails;
      expect(error?.message).toMatch(
        /StorageRegion: found westus, wanted eastus\..*Subnet: found no such subnet/u,
      );
      expect(error?.recommendedAction).toContain("Choose a storage account in 'eastus'");
      expect(await site.hasItem('web-8')).toBe(false);
      expect((await site.machine('web-8'))?.properties).toMatchObject({ protectionStatus: 'Unprotected' });
    });

    it.each([
      ['web-5', 'prepareMachine'],
      ['web-6', 'startReplication'],
      ['web-7', 'progress'],
    ] as const)(
      'leaves only its job when %s is cancelled while it waits for %s',
      async (machine, awaited) => {
        const kind = awaited === 'progress' ? 'startReplication' : awaited;
        const asked = Promise.withResolvers<void>();
        site.replication.instead.set(kind, () => {
          asked.resolve();
          return awaited === 'progress' ? { outcome: 'succeeded' } : undefined;
        });
        expect((await site.put(machine, await site.enableBody(machine))).status).toBe(202);
        await asked.promise;
        const { name = '' } = await site.job('EnableDr', machine);
        const cancelled = await site.client.replicationJobs.beginCancelAndWait(
          vaultName,
          site.group,
          name,
          quick,
        );
        expect(cancelled.properties).toMatchObject({ state: 'Cancelled', allowedActions: [] });
        expect(await site.leftOf(machine, site.replication.lastItemAsked(kind))).toEqual([]);
      },
    );
  });

  describe('requests that can not be', () => {
    it.each([
      ['web-50', 'no disks'],
      ['web-51', 'not powered on'],
    ])('refuse %s: %s', async (machine, reason) => {
      expect(await site.put(machine, await site.enableBody(machine))).toMatchObject({
        status: 400,
        body: { error: { code: 'InvalidRequest', message: expect.stringContaining(reason) as string } },
      });
      expect(await site.isUntouched(machine)).toBe(true);
    });

    it.each([
      ['policy', 404, "'nobody' was not found"],
      ['machine', 404, 'was not found'],
      ['disk', 400, "no disk 'none'"],
      ['association', 400, 'not associated'],
    ])('refuse an unknown %s', async (what, status, reason) => {
      const body = await site.enableBody(what === 'machine' ? 'nobody' : 'web-10', {
        ...(what === 'disk' && { disksToInclude: [{ diskId: 'none' }] }),
      });
      const policies = { policy: 'nobody', association: `${policyName}-failback` };
      const policy = policies[what as keyof typeof policies] ?? policyName;
      body.properties.policyId = site.id(`replicationPolicies/${policy}`);
      expect(await site.put('web-10', body)).toMatchObject({
        status,
        body: { error: { message: expect.stringContaining(reason) as string } },
      });
      expect(await site.isUntouched('web-10')).toBe(true);
    });

    it('refuse an unknown container', async () => {
      const path = site.itemId('web-10').replace(/cloud_[^/]+/u, 'cloud_x');
      const answer = await site.platform.request('PUT', path, { body: await site.enableBody('web-10') });
      expect(answer).toMatchObject({ status: 404, body: { error: { code: 'ResourceNotFound' } } });
    });

    it.each([
      ['no properties', undefined],
      ['another provider', { instanceType: 'A2A' }],
      ['a name that Azure refuses', { targetAzureVmName: 'my vm!' }],
      ['a network without a subnet', { targetAzureNetworkId: '/subscriptions/x' }],
      ['another process server', { processServerId: 'ps9' }],
    ])('refuse %s', async (_, changes) => {
      const body = changes === undefined ? {} : await site.enableBody('web-10', changes);
      expect(await site.put('web-10', body)).toMatchObject({
        status: 400,
        body: { error: { code: expect.stringMatching(/^InvalidRequest/u) as string } },
      });
      expect(await site.isUntouched('web-10')).toBe(true);
    });

    it('refuse to make a recovery point of a machine that has none yet', async () => {
      const answer = await site.platform.request('POST', site.id('secondsite/recoveryPoints'), {
        body: { properties: { protectedItemId: site.itemId('web-2') } },
      });
      expect(answer).toMatchObject({ status: 409, body: { error: { code: 'Conflict' } } });
    });

    it('let a reader see and not touch', async () => {
      expect(await site.put('web-10', await site.enableBody('web-10'), 'reader')).toMatchObject({
        status: 403,
        body: { error: { code: 'AuthorizationFailed' } },
      });
      const list = await site.platform.request('GET', site.id('replicationProtectedItems'), {
        role: 'reader',
      });
      expect(list.status).toBe(200);
    });
  });

  describe('disabling', () => {
    it('stops replication and deletes the item with its data', async () => {
      const protectedItemId = await site.protect('web-9');
      const body = { properties: { disableProtectionReason: 'NotSpecified' } };
      await site.client.replicationProtectedItems.beginDeleteAndWait(...site.container, 'web-9', body, quick);
      expect(site.replication.kindsFor(protectedItemId).at(-1)).toBe('stopReplication');
      expect(await site.jobEnds('DisableDr', 'web-9')).toMatchObject({ properties: { state: 'Succeeded' } });
      expect(await site.leftOf('web-9', protectedItemId)).toEqual([]);
    });

    it('leaves the item as it is when the appliance refuses', async () => {
      site.replication.instead.set('stopReplication', () => ({
        outcome: 'failed',
        fault: { code: 'RemoteFailure', message: 'The spool is locked.' },
      }));
      const path = `${site.itemId('web-1')}/remove`;
      expect((await site.platform.request('POST', path, { body: { properties: {} } })).status).toBe(202);
      expect(await site.jobEnds('DisableDr', 'web-1')).toMatchObject({ properties: { state: 'Failed' } });
      expect((await site.item('web-1')).properties).toMatchObject({
        protectionState: 'Protected',
        currentScenario: { scenarioName: 'None' },
      });
      expect(await site.points('web-1')).toHaveLength(2);
    });

    it('purges when the appliance refuses, and may be repeated', async () => {
      site.replication.instead.set('stopReplication', () => ({ outcome: 'failed' }));
      const { protectedItemId } = await site.replicaLog('web-1');
      const purge = () => site.platform.request('DELETE', site.itemId('web-1'));
      const locations = [(await purge()).headers.get('location'), (await purge()).headers.get('location')];
      expect(new Set(locations).size).toBe(1);
      await vi.waitUntil(async () => (await purge()).status === 204, soon);
      expect(await site.leftOf('web-1', protectedItemId)).toEqual([]);
    });
  });
});
