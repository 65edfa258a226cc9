import { afterAll, beforeAll, expect, it } from 'vitest';
import { listAll } from './platform.ts';
import { ProtectionSite, policyName, quick, vaultName } from './protection-site.ts';
import { discoveredMachine } from './test-appliance.ts';

let site: ProtectionSite;

beforeAll(async () => {
  site = await ProtectionSite.start([discoveredMachine(1)]);
  const [vault, group, fabric] = site.container;
  const vCenter = { properties: { ipAddress: '10.0.0.9', port: '443', runAsAccountId: '1' } };
  await site.client.replicationvCenters.beginCreateAndWait(vault, group, fabric, 'vc1', vCenter, quick);
  await site.createPolicy();
  await site.associate('map1');
  await site.protect('web-1');
  await site.jobEnds('IrCompletion', 'web-1');
});

afterAll(async () => {
  await site.close();
});

it('everything is removed in the order of the real service, and nothing out of it', async () => {
  const { client, container, group } = site;
  const [, , fabric] = container;
  const steps: [what: string, remove: () => Promise<unknown>][] = [
    [
      'item',
      () =>
        client.replicationProtectedItems.beginDeleteAndWait(...container, 'web-1', { properties: {} }, quick),
    ],
    [
      'association',
      () =>
        client.replicationProtectionContainerMappings.beginDeleteAndWait(
          ...container,
          'map1',
          { properties: {} },
          quick,
        ),
    ],
    ['policy', () => client.replicationPolicies.beginDeleteAndWait(vaultName, group, policyName, quick)],
    ['vCenter', () => client.replicationvCenters.beginDeleteAndWait(vaultName, group, fabric, 'vc1', quick)],
    ['server', () => client.replicationFabrics.beginDeleteAndWait(vaultName, group, fabric, quick)],
    ['vault', () => site.platform.vaults().vaults.delete(group, vaultName)],
  ];
  const refused: string[] = [];
  for (const [at, [, remove]] of steps.entries()) {
    // Policies and vCenters do not hold each other; everything holds the server and the vault.
    for (const [what, tooEarly] of steps
      .slice(at + 1)
      .filter(([what]) => ['server', 'vault'].includes(what))) {
      await expect(tooEarly()).rejects.toMatchObject({ code: expect.stringMatching(/NotEmpty/u) as string });
      refused.push(what);
    }
    await remove();
  }
  expect(refused.length).toBeGreaterThan(8);
  expect(await listAll(site.platform.vaults().vaults.listByResourceGroup(group))).toEqual([]);
});
