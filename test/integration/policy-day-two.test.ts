import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { listAll } from './platform.ts';
import { ProtectionSite, policyName, quick, soon, vaultName } from './protection-site.ts';
import { discoveredMachine } from './test-appliance.ts';

/** Body of a PATCH. */
const settings = (change: Record<string, unknown>) => ({
  properties: {
    replicationProviderSettings: {
      instanceType: 'InMageAzureV2' as const,
      multiVmSyncStatus: 'Enable' as const,
      ...change,
    },
  },
});

describe('policies and their associations, day two', () => {
  let site: ProtectionSite;

  beforeAll(async () => {
    site = await ProtectionSite.start([discoveredMachine(1)]);
    await site.createPolicy();
    await site.associate('map1');
    await site.protect('web-1');
    await site.jobEnds('IrCompletion', 'web-1');
  });

  afterAll(async () => {
    await site.close();
  });

  const policies = () => site.client.replicationPolicies;
  const mappings = () => site.client.replicationProtectionContainerMappings;
  it('change what is sent, keep the rest, and take the automatic twin along', async () => {
    const changed = await policies().beginUpdateAndWait(
      vaultName,
      site.group,
      policyName,
      settings({ recoveryPointThresholdInMinutes: 15, appConsistentFrequencyInMinutes: 0 }),
      quick,
    );
    expect(changed.properties?.providerSpecificDetails).toMatchObject({
      recoveryPointThresholdInMinutes: 15,
      recoveryPointHistory: 4_320,
      appConsistentFrequencyInMinutes: 0,
    });
    const twin = await policies().get(vaultName, site.group, `${policyName}-failback`);
    expect(twin.properties?.providerSpecificDetails).toMatchObject({ recoveryPointThresholdInMinutes: 15 });
    expect(await site.job('ModifyProtectionProfile', policyName)).toMatchObject({
      properties: { state: 'Succeeded', friendlyName: 'Modify settings of the replication policy' },
    });
  });

  it('tell the appliance the new schedule of machines that are protected', async () => {
    const { protectedItemId } = await site.replicaLog('web-1');
    await vi.waitFor(() => {
      const starts = site.appliance.commands.flatMap(({ body }) =>
        body.kind === 'startReplication' && body.protectedItemId === protectedItemId ? [body.schedule] : [],
      );
      expect(starts).toEqual([
        { crashConsistentMinutes: 5, appConsistentMinutes: 60 },
        { crashConsistentMinutes: 5, appConsistentMinutes: 0 },
      ]);
    }, soon);
  });

  it('answer at once when nothing changes, and refuse what the real service refuses', async () => {
    const path = site.id(`replicationPolicies/${policyName}`);
    const same = settings({ recoveryPointThresholdInMinutes: 15 });
    expect(await site.platform.request('PATCH', path, { body: same })).toMatchObject({ status: 200 });
    for (const wrong of [
      settings({ appConsistentFrequencyInMinutes: 30 }),
      settings({ recoveryPointHistory: 15 * 24 * 60 + 1 }),
      settings({ instanceType: 'InMage' }),
      settings({ crashConsistentFrequencyInMinutes: 10 }),
    ]) {
      expect(await site.platform.request('PATCH', path, { body: wrong })).toMatchObject({ status: 400 });
    }
  });

  it('refuse to delete a policy that is in use, and leave it usable', async () => {
    await expect(
      policies().beginDeleteAndWait(vaultName, site.group, policyName, quick),
    ).rejects.toMatchObject({
      message: expect.stringContaining('is associated with a configuration server') as string,
    });
    expect(await site.associate('map1')).toMatchObject({ name: 'map1' });
  });

  it('have no settings of their own in an association of VMware', async () => {
    const same = await mappings().beginUpdateAndWait(...site.container, 'map1', { properties: {} }, quick);
    expect(same).toMatchObject({ name: 'map1', properties: { state: 'Paired' } });
    const a2a = { properties: { providerSpecificInput: { instanceType: 'A2A' as const } } };
    await expect(mappings().beginUpdateAndWait(...site.container, 'map1', a2a, quick)).rejects.toMatchObject({
      statusCode: 400,
    });
  });

  it('refuse to remove an association under which machines are protected', async () => {
    await expect(
      mappings().beginDeleteAndWait(...site.container, 'map1', { properties: {} }, quick),
    ).rejects.toMatchObject({ message: expect.stringContaining("protects 'web-1'") as string });
    expect(await mappings().get(...site.container, 'map1')).toMatchObject({
      properties: { state: 'Paired' },
    });
  });

  it('purge an association with its twin; the machines stay protected and the policy in use', async () => {
    await mappings().beginPurgeAndWait(...site.container, 'map1', quick);
    expect(await listAll(mappings().list(vaultName, site.group))).toEqual([]);
    expect((await site.item('web-1')).properties?.protectionState).toBe('Protected');
    await expect(
      policies().beginDeleteAndWait(vaultName, site.group, policyName, quick),
    ).rejects.toMatchObject({ message: expect.stringContaining("protects 'web-1'") as string });
    await mappings().beginPurgeAndWait(...site.container, 'map1', quick);
  });

  it('go when nothing uses them any more, the twin with the policy, and can be made anew', async () => {
    await site.associate('map2');
    await site.client.replicationProtectedItems.beginDeleteAndWait(
      ...site.container,
      'web-1',
      { properties: {} },
      quick,
    );
    await mappings().beginDeleteAndWait(...site.container, 'map2', { properties: {} }, quick);
    expect(await site.job('DissociateProtectionProfile', policyName)).toMatchObject({
      properties: { state: 'Succeeded', friendlyName: 'Disassociate replication policy' },
    });
    await policies().beginDeleteAndWait(vaultName, site.group, policyName, quick);
    expect(await listAll(policies().list(vaultName, site.group))).toEqual([]);
    await site.createPolicy();
    expect(await listAll(policies().list(vaultName, site.group))).toHaveLength(2);
  });
});
