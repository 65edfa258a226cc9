import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority } from '../../shared/certificate.ts';
import { itemOfTest } from '../../shared/protection/item-of-test.ts';
import { insertItem, removeItem } from '../../shared/protection/protected-item-store.ts';
import { Table } from '../../shared/store/table.ts';
import { ReplicaLogAnswer } from '../../shared/wire/own-api.ts';
import { type TestPlatform, listAll, startTestPlatform } from './platform.ts';

const vaultName = 'ContosoVMVault';

describe("a vault's day two, through the official clients", () => {
  let platform: TestPlatform;

  beforeAll(async () => {
    platform = await startTestPlatform();
    await platform.vaults().vaults.createOrUpdate(platform.resourceGroup, vaultName, { location: 'eastus' });
  });

  afterAll(async () => {
    await platform.close();
  });

  it('extended information is made when it is missing, kept, and changed in part', async () => {
    const { vaultExtendedInfo } = platform.vaults();
    const { resourceGroup } = platform;
    await expect(vaultExtendedInfo.get(resourceGroup, vaultName)).rejects.toMatchObject({
      statusCode: 404,
      code: 'ResourceExtendedInfoNotFound',
    });
    const made = await vaultExtendedInfo.createOrUpdate(resourceGroup, vaultName, {
      properties: { integrityKey: 'c2VjcmV0', algorithm: 'None' },
    });
    await vaultExtendedInfo.update(resourceGroup, vaultName, {
      properties: { encryptionKeyThumbprint: 'AB' },
    });
    const info = await vaultExtendedInfo.get(resourceGroup, vaultName);
    expect(info.properties).toMatchObject({ integrityKey: 'c2VjcmV0', encryptionKeyThumbprint: 'AB' });
    const stale = await platform.request(
      'PUT',
      `${platform.vaultId(vaultName)}/extendedInformation/vaultExtendedInfo`,
      { body: { properties: {} }, headers: { 'if-match': made.etag ?? '' } },
    );
    expect(stale).toMatchObject({ status: 412, body: { error: { code: 'PreconditionFailed' } } });
  });

  it('a certificate is taken, and refused when it is none', async () => {
    const { vaultCertificates } = platform.vaults();
    const { certificatePem } = await createAuthority({ commonName: 'ContosoCA', days: 2, nowMs: Date.now() });
    const answer = await vaultCertificates.create(platform.resourceGroup, vaultName, 'ContosoCertificate', {
      properties: { authType: 'AzureActiveDirectory', certificate: Buffer.from(certificatePem) },
    });
    expect(answer).toMatchObject({
      name: 'ContosoCertificate',
      properties: {
        authType: 'AzureActiveDirectory',
        subject: expect.stringContaining('ContosoCA') as string,
      },
    });
    await expect(
      vaultCertificates.create(platform.resourceGroup, vaultName, 'ContosoCertificate', {
        properties: { certificate: Buffer.from('no certificate') },
      }),
    ).rejects.toMatchObject({ statusCode: 400, code: 'InvalidCertificate' });
  });

  it('usages and replication usages count what there is', async () => {
    const { usages, replicationUsages } = platform.vaults();
    const counts = await listAll(usages.listByVaults(platform.resourceGroup, vaultName));
    expect(counts.map(({ name, currentValue }) => [name?.value, currentValue])).toEqual([
      ['ProtectedItemCount', 0],
      ['RegisteredServersCount', 0],
      ['RecoveryPlanCount', 0],
    ]);
    const [summary] = await listAll(replicationUsages.list(platform.resourceGroup, vaultName));
    expect(summary).toMatchObject({
      protectedItemCount: 0,
      registeredServersCount: 0,
      jobsSummary: { failedJobs: 0, inProgressJobs: 0 },
      monitoringSummary: { unHealthyVmCount: 0 },
    });
  });

  it('settings say that configuration servers are classic ones', async () => {
    const { replicationVaultSetting } = platform.siteRecovery();
    const { resourceGroup } = platform;
    const set = await replicationVaultSetting.beginCreateAndWait(vaultName, resourceGroup, 'default', {
      properties: { vmwareToAzureProviderType: 'Vmware' },
    });
    expect(set).toMatchObject({ name: 'default', properties: { vmwareToAzureProviderType: 'Vmware' } });
    expect(await replicationVaultSetting.get(vaultName, resourceGroup, 'Default')).toEqual(set);
    expect(await listAll(replicationVaultSetting.list(vaultName, resourceGroup))).toEqual([set]);
    await expect(
      replicationVaultSetting.beginCreateAndWait(vaultName, resourceGroup, 'default', {
        properties: { vmwareToAzureProviderType: 'VmwareV2' },
      }),
    ).rejects.toMatchObject({ code: 'NotSupported' });
    await expect(replicationVaultSetting.get(vaultName, resourceGroup, 'other')).rejects.toMatchObject({
      statusCode: 404,
    });
  });

  it('health is told and refreshed', async () => {
    const { replicationVaultHealth } = platform.siteRecovery();
    const health = await replicationVaultHealth.get(vaultName, platform.resourceGroup);
    expect(health).toMatchObject({
      name: 'Default',
      properties: { vaultErrors: [], fabricsHealth: { resourceCount: 0, issues: [] } },
    });
    const refreshed = await replicationVaultHealth.beginRefreshAndWait(vaultName, platform.resourceGroup);
    expect(refreshed).toEqual(health);
  });

  it('names of vaults are checked before one is made', async () => {
    const { recoveryServices } = platform.vaults();
    const ask = (name: string) =>
      recoveryServices.checkNameAvailability(platform.resourceGroup, 'eastus', {
        type: 'Microsoft.RecoveryServices/Vaults',
        name,
      });
    expect(await ask('Free')).toMatchObject({ nameAvailable: true });
    expect(await ask(vaultName)).toMatchObject({ nameAvailable: false, reason: 'AlreadyExists' });
    expect(await ask('1')).toMatchObject({ nameAvailable: false, reason: 'Invalid' });
    expect(
      await recoveryServices.capabilities('eastus', {
        type: 'Microsoft.RecoveryServices/Vaults',
        properties: { dnsZones: [{ subResource: 'AzureSiteRecovery' }] },
      }),
    ).toMatchObject({
      properties: { dnsZones: [{ subResource: 'AzureSiteRecovery', requiredZoneNames: [] }] },
    });
  });

  it('operations are listed by both clients', async () => {
    const names = (await listAll(platform.vaults().operations.list())).map(({ name }) => name);
    const again = await listAll(platform.siteRecovery().operations.list(platform.resourceGroup));
    expect(names).toContain('Microsoft.RecoveryServices/Vaults/write');
    expect(again.map(({ name }) => name)).toEqual(names);
  });

  it('a change under an etag that is no longer true is refused, a new one under If-None-Match too', async () => {
    const path = platform.vaultId('Guarded');
    const body = { location: 'eastus' };
    const made = await platform.request('PUT', path, { body, headers: { 'if-none-match': '*' } });
    const etag = made.headers.get('etag') ?? '';
    expect([made.status, (made.body as { etag: string }).etag]).toEqual([201, etag]);
    const tag = (owner: string, etag: string) =>
      platform.request('PATCH', path, { body: { tags: { owner } }, headers: { 'if-match': etag } });
    expect(await tag('first', etag)).toMatchObject({ status: 200 });
    const refused = [
      await tag('second', etag),
      await platform.request('PUT', path, { body, headers: { 'if-none-match': '*' } }),
      await platform.request('DELETE', path, { headers: { 'if-match': etag } }),
    ];
    expect(refused.map(({ status }) => status)).toEqual([412, 412, 412]);
    expect(await platform.request('GET', path)).toMatchObject({ body: { tags: { owner: 'first' } } });
  });

  it('alert settings are nobody until they are set', async () => {
    const { replicationAlertSettings } = platform.siteRecovery();
    const { resourceGroup } = platform;
    const [initial] = await listAll(replicationAlertSettings.list(vaultName, resourceGroup));
    expect(initial).toMatchObject({
      name: 'defaultAlertSetting',
      properties: { sendToOwners: 'DoNotSend', customEmailAddresses: [] },
    });
    const set = await replicationAlertSettings.create(vaultName, resourceGroup, 'defaultAlertSetting', {
      properties: { sendToOwners: 'Send', customEmailAddresses: ['ops@contoso.com'], locale: 'de-DE' },
    });
    expect(await replicationAlertSettings.get(vaultName, resourceGroup, 'DefaultAlertSetting')).toEqual(set);
    await expect(
      replicationAlertSettings.create(vaultName, resourceGroup, 'defaultAlertSetting', {
        properties: { customEmailAddresses: ['nobody'] },
      }),
    ).rejects.toMatchObject({ statusCode: 400 });
    await expect(replicationAlertSettings.get(vaultName, resourceGroup, 'other')).rejects.toMatchObject({
      statusCode: 404,
    });
  });

  it('lists for other scenarios say that there is nothing, or why not', async () => {
    const client = platform.siteRecovery();
    const { resourceGroup } = platform;
    expect(await listAll(client.replicationAppliances.list(vaultName, resourceGroup))).toEqual([]);
    const systems = await client.supportedOperatingSystemsOperations.get(vaultName, resourceGroup);
    expect(systems.properties?.supportedOsList?.[0]).toMatchObject({
      instanceType: 'InMageAzureV2',
      supportedOs: [{ osType: 'Linux' }],
    });
    await expect(
      client.supportedOperatingSystemsOperations.get(vaultName, resourceGroup, { instanceType: 'A2A' }),
    ).rejects.toMatchObject({ statusCode: 400 });
    const { replicationEligibilityResultsOperations } = client;
    const result = await replicationEligibilityResultsOperations.get(resourceGroup, 'vm1');
    expect(result.properties?.errors).toMatchObject([{ code: 'NotSupported' }]);
    expect((await replicationEligibilityResultsOperations.list(resourceGroup, 'vm1')).value).toEqual([
      result,
    ]);
  });

  it('sizes for a protected item say what speaks against them; its log is empty', async () => {
    const table = new Table(platform.platform.config.storageConnectionString, 'secondsite');
    const { subscriptionId, resourceGroup } = platform;
    await insertItem(table, { subscriptionId, resourceGroup, vaultName }, itemOfTest);
    const sizes = await listAll(
      platform
        .siteRecovery()
        .targetComputeSizes.listByReplicationProtectedItems(
          vaultName,
          resourceGroup,
          itemOfTest.fabricName,
          itemOfTest.containerName,
          itemOfTest.itemName,
        ),
    );
    expect(sizes.find(({ name }) => name === 'Standard_D2s_v5')).toMatchObject({
      properties: { cpuCoresCount: 2, memoryInGB: 8, errors: [] },
    });
    const log = `${platform.vaultId(vaultName)}/secondsite/protectedItems/${itemOfTest.protectedItemId}/replicaLog`;
    expect(ReplicaLogAnswer.parse((await platform.request('GET', log)).body)).toMatchObject({
      anchor: null,
      points: [],
    });
    await removeItem(table, { subscriptionId, resourceGroup, vaultName }, itemOfTest);
  });

  it('what is refused by name says what to do, in the clients too', async () => {
    const { replicationRecoveryPlans, replicationNetworks } = platform.siteRecovery();
    await expect(
      replicationRecoveryPlans.get(vaultName, platform.resourceGroup, 'Plan'),
    ).rejects.toMatchObject({
      statusCode: 400,
      code: 'NotSupported',
    });
    await expect(listAll(replicationNetworks.list(vaultName, platform.resourceGroup))).rejects.toMatchObject({
      code: 'NotSupported',
      message: expect.stringContaining('Hyper-V') as string,
    });
    const plan = `${platform.vaultId(vaultName)}/replicationRecoveryPlans/Plan`;
    expect(await platform.request('PUT', plan, { role: 'reader', body: {} })).toMatchObject({ status: 403 });
    expect(await platform.request('PUT', plan, { role: null, body: {} })).toMatchObject({ status: 401 });
  });
});
