import type {
  ExportJobDetails,
  InMageAzureV2ReplicationDetails,
} from '@azure/arm-recoveryservices-siterecovery';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listAll } from './platform.ts';
import { ProtectionSite, quick, vaultName } from './protection-site.ts';
import { discoveredMachine } from './test-appliance.ts';

const mac = '00:50:56:95:14:5E';

describe('a protected item, day two', () => {
  let site: ProtectionSite;

  beforeAll(async () => {
    const card = { key: 4_000, label: 'Network adapter 1', network: 'VM Network', connected: true };
    site = await ProtectionSite.start([
      discoveredMachine(1, { nics: [{ ...card, mac, ipAddresses: ['10.0.1.1'] }] }),
    ]);
    await site.createPolicy();
    await site.associate('map1');
    await site.protect('web-1');
    await site.jobEnds('IrCompletion', 'web-1');
  });

  afterAll(async () => {
    await site.close();
  });

  const items = () => site.client.replicationProtectedItems;
  const patch = (properties: Record<string, unknown>) =>
    site.platform.request('PATCH', site.itemId('web-1'), { body: { properties } });
  const act = (action: string, body: unknown = { properties: {} }) =>
    site.platform.request('POST', `${site.itemId('web-1')}/${action}`, { body });
  const details = async () =>
    (await site.item('web-1')).properties?.providerSpecificDetails as InMageAzureV2ReplicationDetails;

  it('gets another name, size, and network card settings in Azure, told in a job', async () => {
    await items().beginUpdateAndWait(
      ...site.container,
      'web-1',
      {
        properties: {
          recoveryAzureVMName: 'web-1-dr',
          recoveryAzureVMSize: 'Standard_D2s_v5',
          enableRdpOnTargetOption: 'Always',
          licenseType: 'WindowsServer',
          vmNics: [
            {
              nicId: mac,
              selectionType: 'SelectedByUser',
              ipConfigs: [
                { isPrimary: true, recoverySubnetName: 'front', recoveryStaticIPAddress: '10.9.0.7' },
              ],
              recoveryNicName: 'web-1-nic',
            },
          ],
          providerSpecificDetails: { instanceType: 'InMageAzureV2', targetVmTags: { tier: 'web' } },
        },
      },
      quick,
    );
    expect(await details()).toMatchObject({
      recoveryAzureVMName: 'web-1-dr',
      recoveryAzureVMSize: 'Standard_D2s_v5',
      enableRdpOnTargetOption: 'Always',
      licenseType: 'WindowsServer',
      targetVmTags: { tier: 'web' },
      vmNics: [
        {
          nicId: mac,
          recoveryNicName: 'web-1-nic',
          ipConfigs: [
            {
              recoverySubnetName: 'front',
              recoveryStaticIPAddress: '10.9.0.7',
              recoveryIPAddressType: 'Static',
            },
          ],
        },
      ],
    });
    expect(await site.job('UpdateVmProperties', 'web-1')).toMatchObject({
      properties: { state: 'Succeeded', friendlyName: 'Update the virtual machine' },
    });
    expect((await site.item('web-1')).properties).toMatchObject({
      currentScenario: { scenarioName: 'None' },
      allowedOperations: ['UnplannedFailover', 'DisableProtection', 'TestFailover'],
    });
  });

  it('answers at once when nothing changes', async () => {
    expect(await patch({ recoveryAzureVMName: 'web-1-dr' })).toMatchObject({ status: 200 });
  });

  it.each([
    ['a name Azure does not take', { recoveryAzureVMName: '-web' }],
    ['a card the machine has not', { vmNics: [{ nicId: '00:00:00:00:00:01' }] }],
    ['an address that is none', { vmNics: [{ nicId: mac, ipConfigs: [{ recoveryStaticIPAddress: 'x' }] }] }],
    [
      'a disk that is not replicated',
      { providerSpecificDetails: { instanceType: 'InMageAzureV2', vmDisks: [{ diskId: 'x' }] } },
    ],
    ['settings of another provider', { providerSpecificDetails: { instanceType: 'A2A' } }],
  ])('refuses %s, saying where', async (_, properties) => {
    expect(await patch(properties)).toMatchObject({
      status: 400,
      body: { error: { target: expect.stringContaining('properties') as string } },
    });
  });

  it('refuses a network that is not there, in its job, and stays as it was', async () => {
    const network = `/subscriptions/${site.platform.subscriptionId}/resourceGroups/${site.group}/providers/Microsoft.Network/virtualNetworks/none`;
    await expect(
      items().beginUpdateAndWait(
        ...site.container,
        'web-1',
        { properties: { selectedRecoveryAzureNetworkId: network } },
        quick,
      ),
    ).rejects.toMatchObject({ message: expect.stringContaining('target environment') as string });
    expect((await details()).selectedRecoveryAzureNetworkId ?? null).toBeNull();
    expect((await site.item('web-1')).properties?.currentScenario?.scenarioName).toBe('None');
    expect((await site.job('UpdateVmProperties', 'web-1')).properties?.allowedActions).toEqual(['Restart']);
  });

  it('lets no health error be called resolved that is still the case', async () => {
    expect(await act('resolveHealthErrors')).toMatchObject({ status: 200, body: { name: 'web-1' } });
    const standing = { properties: { healthErrors: [{ healthErrorId: '161011' }] } };
    expect(await act('resolveHealthErrors', standing)).toMatchObject({ status: 409 });
  });

  it.each(['updateAppliance'])('refuses %s by name, with what to do instead', async (action) => {
    expect(await act(action)).toMatchObject({ status: 400, body: { error: { code: 'NotSupported' } } });
  });

  it('leaves events of what failed, listed by time and severity', async () => {
    const events = site.client.replicationEvents;
    const list = (filter?: string) =>
      listAll(events.list(vaultName, site.group, filter === undefined ? {} : { filter }));
    const [failure] = await list();
    expect(failure?.properties).toMatchObject({
      eventType: 'JobFailure',
      severity: 'Critical',
      affectedObjectFriendlyName: 'web-1',
      eventSpecificDetails: { instanceType: 'JobStatus', jobFriendlyName: 'Update the virtual machine' },
    });
    const got = await events.get(vaultName, site.group, failure?.name ?? '');
    expect(got).toEqual(failure);
    const at = failure?.properties?.timeOfOccurrence?.toISOString() ?? '';
    expect(await list(`startTime eq '${at}' and endTime eq '${at}'`)).toHaveLength(1);
    expect(await list("endTime eq '2020-01-01T00:00:00Z'")).toEqual([]);
    expect(await list("severity eq 'critical' and eventType eq 'JobFailure'")).toHaveLength(1);
    expect(await list("severity eq 'OK'")).toEqual([]);
    await expect(events.get(vaultName, site.group, 'VmMonitoringEvent;1_2')).rejects.toMatchObject({
      statusCode: 404,
    });
  });

  describe('its jobs', () => {
    it('are listed by state, kind of target, server and time', async () => {
      expect(await named(site, "jobStatus eq 'Failed'")).toEqual(['UpdateVmProperties']);
      expect(await named(site, "affectedObjectTypes eq 'ProtectionProfile'")).toEqual([
        'AssociateProtectionProfile',
        'AddProtectionProfile',
      ]);
      const { fabricName } = site.appliance.registration;
      expect(await named(site, `fabricId eq '${fabricName}' and jobStatus eq 'Succeeded'`)).toContain(
        'EnableDr',
      );
      const [, middle] = await listAll(site.client.replicationJobs.list(vaultName, site.group));
      const since = middle?.properties?.startTime?.toISOString() ?? '';
      expect(await named(site, `startTime eq '${since}'`)).toHaveLength(2);
      expect(await named(site, `endTime eq '2020-01-01T00:00:00Z'`)).toEqual([]);
      await expect(named(site, "startTime eq 'yesterday'")).rejects.toMatchObject({ statusCode: 400 });
    });

    it('restart when they failed, once, as a new job that takes everything anew', async () => {
      const failed = await site.job('UpdateVmProperties', 'web-1');
      const path = site.id(`replicationJobs/${failed.name}/restart`);
      const answers = [await site.platform.request('POST', path), await site.platform.request('POST', path)];
      const [once, again] = answers.map(({ headers }) => headers.get('location'));
      expect(answers.map(({ status }) => status)).toEqual([202, 202]);
      expect(again).toBe(once);
      const restarted = await site.jobEnds('UpdateVmProperties', 'web-1');
      expect(restarted.name).not.toBe(failed.name);
      expect(restarted.properties).toMatchObject({ state: 'Failed', allowedActions: ['Restart'] });
      const before = await site.client.replicationJobs.get(vaultName, site.group, failed.name ?? '');
      expect(before.properties?.allowedActions).toEqual([]);
    });

    it('do not restart or resume otherwise', async () => {
      const { name = '' } = await site.job('EnableDr', 'web-1');
      await expect(
        site.client.replicationJobs.beginRestartAndWait(vaultName, site.group, name, quick),
      ).rejects.toMatchObject({
        statusCode: 409,
      });
      await expect(
        site.client.replicationJobs.beginResumeAndWait(
          vaultName,
          site.group,
          name,
          { properties: {} },
          quick,
        ),
      ).rejects.toMatchObject({ statusCode: 409 });
      const nobody = '01900000-0000-7000-8000-000000000000';
      await expect(
        site.client.replicationJobs.beginRestartAndWait(vaultName, site.group, nobody, quick),
      ).rejects.toMatchObject({
        statusCode: 404,
      });
    });

    it.each(['Json', 'Xml'] as const)(
      'are exported as %s, to a blob that the answer lets read',
      async (form) => {
        const exported = await site.client.replicationJobs.beginExportAndWait(
          vaultName,
          site.group,
          { jobStatus: 'Failed', jobOutputType: form },
          quick,
        );
        const { customDetails } = exported.properties ?? {};
        const { blobUri, sasToken } = customDetails as ExportJobDetails;
        const text = await (await fetch(`${blobUri}?${sasToken}`)).text();
        expect(text.match(/UpdateVmProperties["<]/gu)).toHaveLength(2);
        expect(text).not.toContain('EnableDr');
        const { status } = await fetch(`${blobUri}?${sasToken}`, { method: 'DELETE' });
        expect(status).toBe(403);
      },
    );

    it('are not exported as something that nobody writes', async () => {
      const wrong = { body: { jobOutputType: 'Excel' } };
      const answer = await site.platform.request('POST', site.id('replicationJobs/export'), wrong);
      expect(answer).toMatchObject({ status: 400, body: { error: { target: 'jobOutputType' } } });
    });
  });
});

/** Names of the jobs that a filter finds. */
async function named(site: ProtectionSite, filter: string): Promise<(string | undefined)[]> {
  const found = await listAll(site.client.replicationJobs.list(vaultName, site.group, { filter }));
  return found.map(({ properties }) => properties?.scenarioName);
}
