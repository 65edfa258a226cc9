import type {
  InMageAzureV2ReplicationDetails,
  ReplicationProtectedItem,
} from '@azure/arm-recoveryservices-siterecovery';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProtectionSite, quick, soon } from './protection-site.ts';
import { discoveredMachine, discovery } from './test-appliance.ts';

const [boot, data, logs] = ['6000c29000000000001', '6000c29000000000002', '6000c29000000000003'];

function machine(sizes: Record<string, number>) {
  const { disks, ...rest } = discoveredMachine(1);
  const [first] = disks;
  return {
    ...rest,
    disks: Object.entries(sizes).map(([diskId, capacityBytes], at) => ({
      ...first!,
      diskId,
      backingUuid: diskId,
      key: 2_000 + at,
      label: `Hard disk ${at + 1}`,
      capacityBytes,
    })),
  };
}

const size = 268_435_456;

function detailsOf({ properties }: ReplicationProtectedItem) {
  return properties?.providerSpecificDetails as InMageAzureV2ReplicationDetails;
}

describe('what changes while a machine is protected', () => {
  let site: ProtectionSite;
  let protectedItemId: string;

  beforeAll(async () => {
    site = await ProtectionSite.start([machine({ [boot]: size, [data]: size, [logs]: size })]);
    await site.createPolicy();
    await site.associate('map1');
    const body = await site.enableBody('web-1', { disksToInclude: [{ diskId: boot }] });
    await items().beginCreateAndWait(...site.container, 'web-1', body, quick);
    ({ protectedItemId } = await site.replicaLog('web-1'));
    await replica()?.point();
    await site.becomesProtected('web-1');
    await site.jobEnds('IrCompletion', 'web-1');
  });

  beforeEach(() => site.replication.instead.clear());

  afterAll(async () => {
    await site.close();
  });

  const items = () => site.client.replicationProtectedItems;
  const replica = () => site.replication.replicas.get(protectedItemId);
  const act = (action: string, details: unknown) =>
    site.platform.request('POST', `${site.itemId('web-1')}/${action}`, {
      body: { properties: { providerSpecificDetails: details } },
    });
  const disksNow = async () =>
    detailsOf(await site.item('web-1')).protectedDisks?.map(({ diskId }) => diskId);
  /** As the official client can name disks. */
  const add = (...diskIds: string[]) =>
    items().beginAddDisksAndWait(
      ...site.container,
      'web-1',
      {
        properties: {
          providerSpecificDetails: {
            instanceType: 'A2A',
            vmManagedDisks: diskIds.map((diskId) => ({
              diskId,
              primaryStagingAzureStorageAccountId: '',
              recoveryResourceGroupId: '',
            })),
          },
        },
      },
      quick,
    );
  const remove = (...vmManagedDisksIds: string[]) =>
    items().beginRemoveDisksAndWait(
      ...site.container,
      'web-1',
      { properties: { providerSpecificDetails: { instanceType: 'A2A', vmManagedDisksIds } } },
      quick,
    );
  const repair = () => items().beginRepairReplicationAndWait(...site.container, 'web-1', quick);
  const numbers = () => replica()?.disks.map(({ diskId, number }) => [diskId, number]);

  describe('disks', () => {
    it('are added through the official client, in a job, each with a number of its own', async () => {
      const changed = await add(data);
      expect(detailsOf(changed).protectedDisks).toMatchObject([{ diskId: boot }, { diskId: data }]);
      expect(numbers()).toEqual([
        [boot, 0],
        [data, 1],
      ]);
      const job = await site.job('AddDisks', 'web-1');
      expect(job.properties).toMatchObject({ state: 'Succeeded', friendlyName: 'Add disks' });
      expect(job.properties?.tasks?.map(({ friendlyName, state }) => [friendlyName, state])).toEqual([
        ['Prerequisites check for adding disks', 'Succeeded'],
        ['Enabling replication of the disks', 'Succeeded'],
        ['Updating the provider states', 'Succeeded'],
      ]);
      expect(site.replication.kindsFor(protectedItemId).slice(-2)).toEqual([
        'prepareMachine',
        'startReplication',
      ]);
      await replica()?.point();
      expect((await site.item('web-1')).properties?.protectionState).toBe('Protected');
    });

    it('that are there already are no change, and no job', async () => {
      const jobs = (await site.jobsOf('AddDisks', 'web-1')).length;
      expect(detailsOf(await add(data)).protectedDisks).toHaveLength(2);
      expect(await site.jobsOf('AddDisks', 'web-1')).toHaveLength(jobs);
    });

    it('are removed, and have their numbers again when they come back', async () => {
      await remove(data);
      expect(await disksNow()).toEqual([boot]);
      expect(numbers()).toEqual([[boot, 0]]);
      await add(logs);
      await add(data);
      expect(numbers()).toEqual([
        [boot, 0],
        [logs, 2],
        [data, 1],
      ]);
      await replica()?.point();
      await vi.waitUntil(async () => (await site.points('web-1')).length === 3, soon);
      expect((await site.item('web-1')).properties?.healthErrors).toMatchObject([{ errorCode: '161011' }]);
      const own = { instanceType: 'InMageAzureV2', disksToRemove: [{ diskId: logs }] };
      expect(await act('removeDisks', own)).toMatchObject({ status: 202 });
      await vi.waitUntil(async () => (await disksNow())?.length === 2, soon);
      await site.jobEnds('RemoveDisks', 'web-1');
    });

    it.each([
      ['a disk that the machine has not', 'addDisks', { disksToInclude: [{ diskId: 'none' }] }],
      ['no disk', 'addDisks', { disksToInclude: [] }],
      ['no list, as a client that knows no such field sends it', 'addDisks', {}],
      ['fields that would be ignored', 'addDisks', { disksToInclude: [{ diskId: logs, diskType: 'x' }] }],
      ['a disk that is not replicated', 'removeDisks', { disksToRemove: [{ diskId: 'none' }] }],
      ['all of them', 'removeDisks', { disksToRemove: [{ diskId: boot }, { diskId: data }] }],
    ])('refuses %s, saying where', async (_, action, details) => {
      expect(await act(action, { instanceType: 'InMageAzureV2', ...details })).toMatchObject({
        status: 400,
        body: { error: { target: expect.stringContaining('properties') as string } },
      });
    });

    it('refuses another account for one disk', async () => {
      const staging = { diskId: logs, primaryStagingAzureStorageAccountId: '/subscriptions/s/x' };
      const answer = await act('addDisks', { instanceType: 'A2A', vmManagedDisks: [staging] });
      expect(answer).toMatchObject({ status: 400 });
    });

    it('stay as they were when the agent knows nothing of the new one', async () => {
      const fault = {
        code: 'RemoteFailure' as const,
        message: `The mobility agent knows no disk ${logs}.`,
        recommendedAction: 'Start the agent with --disk for it.',
      };
      site.replication.instead.set('prepareMachine', () => ({ outcome: 'failed', fault }));
      await expect(add(logs)).rejects.toMatchObject({ message: expect.stringContaining(logs) as string });
      expect(await disksNow()).toEqual([boot, data]);
      expect((await site.item('web-1')).properties?.currentScenario?.scenarioName).toBe('None');
    });

    it('stay as they were when the appliance refuses the change, and it is told so again', async () => {
      const before = numbers();
      let isFirst = true;
      site.replication.instead.set('startReplication', () => {
        const outcome = isFirst ? ('failed' as const) : ('succeeded' as const);
        isFirst = false;
        return { outcome };
      });
      await expect(add(logs)).rejects.toThrow('did not say why');
      expect(await disksNow()).toEqual([boot, data]);
      const told = site.appliance.commands.flatMap(({ body }) =>
        body.kind === 'startReplication' ? [body.disks.map(({ diskId, number }) => [diskId, number])] : [],
      );
      expect(told.at(-1)).toEqual(before);
    });

    it('come back only if they have not shrunk: older points have them larger', async () => {
      await remove(data);
      await site.appliance.checkIn(
        discovery('vc1', [machine({ [boot]: size, [data]: size / 2, [logs]: size })]),
      );
      const tryIt = () =>
        act('addDisks', { instanceType: 'InMageAzureV2', disksToInclude: [{ diskId: data }] });
      await vi.waitUntil(async () => (await tryIt()).status === 409, soon);
      expect(JSON.stringify((await tryIt()).body)).toContain('has shrunk');
    });

    it('that grew are shown as large as they are', async () => {
      await replica()?.progress({
        phase: 'Waiting',
        disks: [{ diskId: boot, totalBytes: 2 * size, processedBytes: 2 * size }],
      });
      const grown = { diskId: boot, diskCapacityInBytes: 2 * size, diskResized: 'Resized' };
      await vi.waitFor(async () => {
        expect(detailsOf(await site.item('web-1'))).toMatchObject({
          diskResized: 'Resized',
          protectedDisks: [grown],
        });
      }, soon);
    });
  });

  describe('a resynchronization', () => {
    it('is a job that ends when the agent compares; the item tells how far it is', async () => {
      const item = await repair();
      expect(await site.job('RepairVMReplication', 'web-1')).toMatchObject({
        properties: { state: 'Succeeded', friendlyName: 'Resynchronize the virtual machine' },
      });
      expect(item.properties).toMatchObject({
        protectionState: 'Protected',
        replicationHealth: 'Warning',
        currentScenario: { scenarioName: 'None' },
        providerSpecificDetails: {
          protectionStage: 'Resync',
          resyncProgressPercentage: 25,
          protectedDisks: [{ protectionStage: 'Resync', resyncRequired: 'Required' }],
        },
      });
      expect(item.properties?.healthErrors).toMatchObject([
        { errorCode: 'ResynchronizationInProgress', errorLevel: 'Warning' },
        { errorCode: '161011' },
      ]);
      await replica()?.finish();
      await vi.waitFor(async () => {
        const { properties } = await site.item('web-1');
        expect(properties).toMatchObject({ replicationHealth: 'Normal' });
        expect(properties?.providerSpecificDetails).toMatchObject({ protectionStage: 'DifferentialSync' });
      }, soon);
    });

    it('that the appliance can not take fails with its words, and lets go of the item', async () => {
      const fault = {
        code: 'ResourceNotFound' as const,
        message: 'The process server replicates no such item.',
      };
      site.replication.instead.set('resynchronize', () => ({ outcome: 'failed', fault }));
      await expect(repair()).rejects.toThrow('replicates no such item');
      const { properties } = await site.job('RepairVMReplication', 'web-1');
      expect(properties).toMatchObject({ state: 'Failed', allowedActions: ['Restart'] });
      expect((await site.item('web-1')).properties?.currentScenario?.scenarioName).toBe('None');
    });
  });

  it('a cache disk that lost data shows as a health error until what was lost is there again', async () => {
    await replica()?.progress({ phase: 'Resync', damage: { sinceMs: Date.now(), lostBytes: 4_096 } });
    await vi.waitFor(async () => {
      const { properties } = await site.item('web-1');
      expect(properties).toMatchObject({ replicationHealth: 'Critical' });
      expect(properties?.healthErrors?.[0]).toMatchObject({
        errorCode: 'SpoolDamaged',
        errorMessage: expect.stringContaining('lost 4096 bytes') as string,
      });
    }, soon);
    const standing = { body: { properties: { healthErrors: [{ healthErrorId: 'SpoolDamaged' }] } } };
    const answer = await site.platform.request(
      'POST',
      `${site.itemId('web-1')}/resolveHealthErrors`,
      standing,
    );
    expect(answer).toMatchObject({ status: 409 });
    await replica()?.progress({ phase: 'Waiting' });
    await vi.waitUntil(
      async () => (await site.item('web-1')).properties?.replicationHealth === 'Normal',
      soon,
    );
  });
});
