import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findWatch } from '../../shared/fabric/appliance-watch.ts';
import { Table } from '../../shared/store/table.ts';
import { type TestPlatform, listAll, startTestPlatform } from './platform.ts';
import {
  TestAppliance,
  discoveredMachine,
  discovery,
  downloadKey,
  makeKeyPair,
  registrationBody,
  sign,
} from './test-appliance.ts';

describe("a configuration server's day two, through the official clients", () => {
  let platform: TestPlatform;
  const appliances: TestAppliance[] = [];
  let count = 0;

  beforeAll(async () => {
    platform = await startTestPlatform();
  });

  afterAll(async () => {
    for (const appliance of appliances) await appliance.close();
    await platform.close();
  });

  /** A vault of its own with one registered server, and one vCenter with a machine where `vCenterName` is given. */
  async function freshServer(vCenterName?: string) {
    count += 1;
    const vaultName = `Vault${count}`;
    const { resourceGroup } = platform;
    await platform.vaults().vaults.createOrUpdate(resourceGroup, vaultName, { location: 'eastus' });
    const appliance = await TestAppliance.register(platform, vaultName);
    appliances.push(appliance);
    const client = platform.siteRecovery();
    const { fabricName, containerName, applianceId } = appliance.registration;
    const server = { vaultName, resourceGroup, appliance, client, fabricName, containerName, applianceId };
    if (vCenterName === undefined) return server;
    await client.replicationvCenters.beginCreateAndWait(vaultName, resourceGroup, fabricName, vCenterName, {
      properties: { ipAddress: '10.0.0.9', port: '443', runAsAccountId: '1' },
    });
    await appliance.checkIn(discovery(vCenterName, [discoveredMachine(1)]));
    await vi.waitFor(async () => {
      expect(await machinesOf(server)).toEqual(['web-1']);
    }, 20_000);
    return server;
  }

  type Server = Omit<Awaited<ReturnType<typeof freshServer>>, 'appliance'>;

  async function machinesOf({ client, vaultName, resourceGroup, fabricName, containerName }: Server) {
    const items = await listAll(
      client.replicationProtectableItems.listByReplicationProtectionContainers(
        vaultName,
        resourceGroup,
        fabricName,
        containerName,
      ),
    );
    return items.map(({ properties }) => properties?.friendlyName);
  }

  it('a vCenter is updated when the appliance has connected with the changed data', async () => {
    const { client, vaultName, resourceGroup, fabricName, appliance } = await freshServer('vcenter67');
    const updated = await client.replicationvCenters.beginUpdateAndWait(
      vaultName,
      resourceGroup,
      fabricName,
      'vcenter67',
      { properties: { ipAddress: '10.0.0.10', runAsAccountId: '2' } },
    );
    expect(updated).toMatchObject({
      name: 'vcenter67',
      properties: { ipAddress: '10.0.0.10', port: '443', runAsAccountId: '2' },
    });
    expect(appliance.commands.at(-1)?.body).toMatchObject({
      kind: 'addVCenter',
      address: '10.0.0.10',
      accountId: '2',
    });
  });

  it('a vCenter stays as it was when the appliance can not connect with the changed data', async () => {
    const { client, vaultName, resourceGroup, fabricName, appliance } = await freshServer('vcenter67');
    appliance.answer = async ({ body }) =>
      body.kind === 'addVCenter' && body.address === '10.0.0.66'
        ? { outcome: 'failed', fault: { code: 'RemoteFailure', message: '10.0.0.66 does not answer.' } }
        : { outcome: 'succeeded' };
    await expect(
      client.replicationvCenters.beginUpdateAndWait(vaultName, resourceGroup, fabricName, 'vcenter67', {
        properties: { ipAddress: '10.0.0.66' },
      }),
    ).rejects.toThrow('10.0.0.66 does not answer.');
    const kept = await client.replicationvCenters.get(vaultName, resourceGroup, fabricName, 'vcenter67');
    expect(kept.properties?.ipAddress).toBe('10.0.0.9');
    expect(appliance.commands.at(-1)?.body).toMatchObject({ kind: 'addVCenter', address: '10.0.0.9' });
  });

  it('a server with a vCenter can not be removed; vCenter, server and vault go in this order', async () => {
    const server = await freshServer('vcenter67');
    const { client, vaultName, resourceGroup, fabricName, appliance } = server;
    await expect(
      client.replicationFabrics.beginDeleteAndWait(vaultName, resourceGroup, fabricName),
    ).rejects.toMatchObject({
      code: 'ServerNotEmpty',
      message: expect.stringContaining('vCenter') as string,
    });
    const deleteVault = () => platform.vaults().vaults.delete(resourceGroup, vaultName);
    await expect(deleteVault()).rejects.toMatchObject({
      code: 'ServiceResourceNotEmptyWithContainerDetails',
    });
    await client.replicationvCenters.beginDeleteAndWait(vaultName, resourceGroup, fabricName, 'vcenter67');
    expect(appliance.commands.at(-1)?.body).toEqual({ kind: 'removeVCenter', vCenterName: 'vcenter67' });
    expect(await machinesOf(server)).toEqual([]);
    await expect(deleteVault()).rejects.toMatchObject({
      message: expect.stringContaining('servers') as string,
    });
    await client.replicationFabrics.beginDeleteAndWait(vaultName, resourceGroup, fabricName);
    expect(await listAll(client.replicationFabrics.list(vaultName, resourceGroup))).toEqual([]);
    await deleteVault();
    expect(await platform.request('GET', platform.vaultId(vaultName))).toMatchObject({ status: 404 });
  });

  it("a removed server's keys, registration key and queue are worth nothing at once", async () => {
    count += 1;
    const vaultName = `Vault${count}`;
    await platform.vaults().vaults.createOrUpdate(platform.resourceGroup, vaultName, { location: 'eastus' });
    const keys = { signing: makeKeyPair(), encryption: makeKeyPair() };
    const body = await registrationBody(await downloadKey(platform, vaultName), keys);
    const path = `${platform.vaultId(vaultName)}/secondsite/registrations`;
    const { applianceId, fabricName } = (await platform.request('POST', path, { body, role: null })).body as {
      applianceId: string;
      fabricName: string;
    };
    const askTokens = async () => {
      const iat = Math.floor(Date.now() / 1_000);
      const assertion = await sign(
        { iss: applianceId, aud: platform.vaultId(vaultName), iat, exp: iat + 60, jti: 'x' },
        keys.signing,
      );
      const tokens = `${platform.vaultId(vaultName)}/secondsite/appliances/${applianceId}/tokens`;
      return (await platform.request('POST', tokens, { body: { assertion }, role: null })).status;
    };
    expect(await askTokens()).toBe(200);
    await platform
      .siteRecovery()
      .replicationRecoveryServicesProviders.beginDeleteAndWait(
        vaultName,
        platform.resourceGroup,
        fabricName,
        applianceId,
      );
    expect(await askTokens()).toBe(401);
    expect(await platform.request('POST', path, { body, role: null })).toMatchObject({
      status: 403,
      body: { error: { code: 'RegistrationKeyUsed' } },
    });
  });

  it('a server that is gone for good is purged with its vCenters, and purging it again changes nothing', async () => {
    const { client, vaultName, resourceGroup, fabricName, applianceId, appliance } =
      await freshServer('vcenter67');
    appliance.answer = () => Promise.resolve(undefined);
    await client.replicationRecoveryServicesProviders.beginPurgeAndWait(
      vaultName,
      resourceGroup,
      fabricName,
      applianceId,
    );
    await client.replicationFabrics.beginPurgeAndWait(vaultName, resourceGroup, fabricName);
    expect(await listAll(client.replicationvCenters.list(vaultName, resourceGroup))).toEqual([]);
    await platform.vaults().vaults.delete(resourceGroup, vaultName);
  });

  it('a server is unregistered through the vault client too', async () => {
    const { client, vaultName, resourceGroup, applianceId } = await freshServer();
    const { registeredIdentities } = platform.vaults();
    await registeredIdentities.delete(resourceGroup, vaultName, applianceId);
    await registeredIdentities.delete(resourceGroup, vaultName, applianceId);
    expect(await listAll(client.replicationFabrics.list(vaultName, resourceGroup))).toEqual([]);
  });

  it('a consistency check has the appliance look at its site again', async () => {
    const { client, vaultName, resourceGroup, fabricName, appliance } = await freshServer();
    const fabric = await client.replicationFabrics.beginCheckConsistencyAndWait(
      vaultName,
      resourceGroup,
      fabricName,
    );
    expect(fabric.name).toBe(fabricName);
    expect(appliance.commands.map(({ body }) => body.kind)).toEqual(['refresh']);
  });

  it('a fabric is found by a filter that it fits, and by none that it does not', async () => {
    const { client, vaultName, resourceGroup, fabricName } = await freshServer();
    const get = (filter: string) =>
      client.replicationFabrics.get(vaultName, resourceGroup, fabricName, { filter });
    expect(await get("friendlyName eq 'contosocs'")).toMatchObject({ name: fabricName });
    await expect(get("friendlyName eq 'other'")).rejects.toMatchObject({ statusCode: 404 });
    await expect(get("colour eq 'red'")).rejects.toMatchObject({ statusCode: 400 });
  });

  it('the heartbeat watch looks at every server of every vault', async () => {
    const { vaultName, resourceGroup, applianceId } = await freshServer();
    const table = new Table(platform.platform.config.storageConnectionString, 'secondsite');
    const vault = { subscriptionId: platform.subscriptionId, resourceGroup, vaultName };
    await platform.runTimer('heartbeatWatch');
    await vi.waitFor(async () => {
      expect(await findWatch(table, { vault, applianceId })).toMatchObject({ connected: true });
    }, 20_000);
  });

  it('what a server can not do is refused with what to do instead', async () => {
    const { client, vaultName, resourceGroup, fabricName } = await freshServer();
    await expect(
      client.replicationFabrics.beginCreateAndWait(vaultName, resourceGroup, 'fabric', {}),
    ).rejects.toMatchObject({
      code: 'NotSupported',
      message: expect.stringContaining('registrationKeys') as string,
    });
    await expect(
      client.replicationFabrics.beginReassociateGatewayAndWait(vaultName, resourceGroup, fabricName, {}),
    ).rejects.toMatchObject({ code: 'NotSupported' });
  });
});
