import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TargetEnvironmentAnswer } from '../../shared/wire/own-api.ts';
import { type TestPlatform, listAll, startTestPlatform } from './platform.ts';

describe('vaults, through the official client', () => {
  let platform: TestPlatform;

  beforeAll(async () => {
    platform = await startTestPlatform();
  });

  afterAll(async () => {
    await platform.close();
  });

  it('are made, read, listed, tagged and deleted', async () => {
    const { vaults } = platform.vaults();
    const { resourceGroup } = platform;
    const made = await vaults.createOrUpdate(resourceGroup, 'ContosoVMVault', {
      location: 'East US',
      sku: { name: 'Standard' },
      properties: {},
    });
    expect(made).toMatchObject({
      id: platform.vaultId('ContosoVMVault'),
      name: 'ContosoVMVault',
      type: 'Microsoft.RecoveryServices/vaults',
      location: 'eastus',
      properties: { provisioningState: 'Succeeded' },
    });
    const again = await vaults.createOrUpdate(resourceGroup, 'contosovmvault', { location: 'eastus' });
    expect(again.name).toBe('ContosoVMVault');
    const tagged = await vaults.update(resourceGroup, 'ContosoVMVault', { tags: { owner: 'contoso' } });
    expect(tagged.tags).toEqual({ owner: 'contoso' });
    const inGroup = await listAll(vaults.listByResourceGroup(resourceGroup));
    const inSubscription = await listAll(vaults.listBySubscriptionId());
    expect([inGroup, inSubscription].map((list) => list.map(({ name }) => name))).toEqual([
      ['ContosoVMVault'],
      ['ContosoVMVault'],
    ]);
    await vaults.delete(resourceGroup, 'ContosoVMVault');
    await expect(vaults.get(resourceGroup, 'ContosoVMVault')).rejects.toMatchObject({ statusCode: 404 });
    await vaults.delete(resourceGroup, 'ContosoVMVault');
  });

  it('stay where they are', async () => {
    await putVault('Fixed');
    expect(await putVault('Fixed', { location: 'westus' })).toMatchObject({
      status: 409,
      body: { error: { code: 'InvalidResourceLocation' } },
    });
  });

  it('are not made by a request that lacks the token or the role', async () => {
    const path = platform.vaultId('Forbidden');
    const body = { location: 'eastus' };
    expect(await platform.request('PUT', path, { body, role: null })).toMatchObject({
      status: 401,
      body: { error: { code: 'AuthenticationFailed' } },
    });
    expect(
      await platform.request('PUT', path, { body, role: null, headers: { authorization: 'Bearer a.b.c' } }),
    ).toMatchObject({ status: 401 });
    for (const role of ['operator', 'reader'] as const) {
      expect(await platform.request('PUT', path, { body, role })).toMatchObject({
        status: 403,
        body: {
          error: {
            code: 'AuthorizationFailed',
            message: expect.stringContaining('Microsoft.RecoveryServices/Vaults/write') as string,
          },
        },
      });
    }
    expect(await platform.request('GET', path, { role: 'reader' })).toMatchObject({ status: 404 });
  });

  it.each([
    ['a slash in it', 'a%2Fb'],
    ['a thousand characters', 'a'.repeat(1_000)],
    ['an emoji', '%F0%9F%98%80'],
    ['a digit in front', '1vault'],
    ['one character', 'a'],
    ['a quote in it', "a'b"],
    ['a broken percent encoding', '%E0%A4'],
    ['a control character', 'a%00b'],
  ])('are not made under a name with %s', async (_, name) => {
    const answer = await putVault(name);
    expect(answer).toMatchObject({ status: 400, body: { error: { message: expect.any(String) as string } } });
    expect((answer.body as { error: { message: string } }).error.message.length).toBeLessThan(500);
  });

  it.each([
    ['is not JSON', '{"location":', 'InvalidRequestContent'],
    ['is empty', '', 'InvalidRequestContent'],
    ['is not an object', '[]', 'InvalidRequestContent'],
    ['lacks the location', '{"tags":{}}', 'InvalidRequestContent'],
    ['has a location of the wrong type', '{"location":7}', 'InvalidRequestContent'],
  ])('are not made by a body that %s', async (_, body, code) => {
    const answer = await platform.request('PUT', platform.vaultId('Never'), { body });
    expect(answer).toMatchObject({ status: 400, body: { error: { code } } });
    expect(await platform.request('GET', platform.vaultId('Never'))).toMatchObject({ status: 404 });
  });

  it('names the field that is wrong', async () => {
    const body = { location: 'eastus', sku: { name: 'Gold' } };
    expect(await platform.request('PUT', platform.vaultId('Never'), { body })).toMatchObject({
      status: 400,
      body: { error: { code: 'InvalidRequestContent', target: 'sku.name' } },
    });
  });

  it('are not made by a body of 50 MB', async () => {
    const body = JSON.stringify({ location: 'eastus', filler: 'x'.repeat(50_000_000) });
    expect(await platform.request('PUT', platform.vaultId('Never'), { body })).toMatchObject({
      status: 413,
      body: { error: { code: 'RequestTooLarge' } },
    });
  });

  it('tell an unknown path from a wrong method', async () => {
    expect(await platform.request('GET', `${platform.vaultId('X')}/replicationUnicorns`)).toMatchObject({
      status: 404,
      body: { error: { code: 'ResourceNotFound' } },
    });
    const wrong = await platform.request('POST', platform.vaultId('X'));
    expect(wrong).toMatchObject({ status: 405, body: { error: { code: 'MethodNotAllowed' } } });
    expect(wrong.headers.get('allow')).toContain('PUT');
  });

  it('do not take path names from the query or the body', async () => {
    await putVault('Shadowed');
    const answer = await platform.request(
      'GET',
      `${platform.vaultId('Shadowed')}?VAULTNAME=Other&vaultName=Other`,
    );
    expect(answer).toMatchObject({ status: 200, body: { name: 'Shadowed' } });
  });

  it('carry request and correlation ids', async () => {
    const correlation = '3f1f0c2e-5d0b-4a52-8a5e-0c9f9b1f0a11';
    const { headers } = await platform.request('GET', platform.vaultId('Shadowed'), {
      headers: { 'x-ms-correlation-request-id': correlation },
    });
    expect(headers.get('x-ms-correlation-request-id')).toBe(correlation);
    expect(headers.get('x-ms-request-id')).toMatch(/^[0-9a-f-]{36}$/u);
    expect(headers.get('cache-control')).toBe('no-cache');
  });

  describe('the target environment', () => {
    it('is compatible where account and network are in the region of the vault', async () => {
      await putVault('Near');
      expect(await ask('Near', question())).toMatchObject({
        status: 200,
        body: { compatible: true, checks: expect.any(Array) as unknown[] },
      });
    });

    it('is not compatible from another region, and says what to do', async () => {
      await putVault('Far', { location: 'westus' });
      const { body } = await ask('Far', question());
      expect(TargetEnvironmentAnswer.parse(body)).toEqual(body);
      expect(body).toMatchObject({ compatible: false });
      expect((body as { checks: object[] }).checks).toContainEqual({
        name: 'StorageRegion',
        outcome: 'Failed',
        found: 'eastus',
        wanted: 'westus',
        action: expect.stringContaining('westus') as string,
      });
    });

    it('names a subnet or an account that is not there', async () => {
      await putVault('Near');
      const { body } = await ask('Near', question({ subnetName: 'nowhere' }));
      expect((body as { checks: object[] }).checks).toContainEqual(
        expect.objectContaining({ name: 'Subnet', outcome: 'Failed', found: 'no such subnet' }),
      );
      const id = `/subscriptions/${platform.subscriptionId}/resourceGroups/x/providers/Microsoft.Storage/storageAccounts/no`;
      const other = await ask('Near', question({ storageAccountId: id }));
      expect((other.body as { checks: object[] }).checks).toContainEqual(
        expect.objectContaining({ name: 'StorageAccount', outcome: 'Failed', found: 'not there' }),
      );
    });

    it.each([{ storageAccountId: 'x' }, { virtualNetworkId: '/subscriptions/../..' }, { subnetName: '' }])(
      'refuses a question with %j',
      async (change) => {
        await putVault('Near');
        expect(await ask('Near', question(change))).toMatchObject({ status: 400 });
      },
    );
  });

  function question(change: Record<string, string> = {}): string {
    const base = `/subscriptions/${platform.subscriptionId}/resourceGroups/${platform.resourceGroup}/providers`;
    return new URLSearchParams({
      storageAccountId: `${base}/Microsoft.Storage/storageAccounts/contosovmreplica`,
      virtualNetworkId: `${base}/Microsoft.Network/virtualNetworks/ContosoVNet`,
      subnetName: 'default',
      ...change,
    }).toString();
  }

  function ask(vault: string, query: string) {
    return platform.request('GET', `${platform.vaultId(vault)}/secondsite/targetEnvironment?${query}`);
  }

  function putVault(name: string, body: unknown = { location: 'eastus' }) {
    return platform.request('PUT', platform.vaultId(name), { body });
  }
});
