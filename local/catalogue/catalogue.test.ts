import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { NetworkManagementClient } from '@azure/arm-network';
import { SubscriptionClient } from '@azure/arm-resources-subscriptions';
import { StorageManagementClient } from '@azure/arm-storage';
import type { TokenCredential } from '@azure/core-auth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { type Authority, createAuthority, issueServerCertificate } from '../identity/authority.ts';
import { type Issuer, startIssuer } from '../identity/issuer.ts';
import { ensureTenant } from '../identity/tenant.ts';
import { ensureTokenKey, mintToken, tokenCheck } from '../identity/token.ts';
import { type CatalogueServer, startCatalogue } from './catalogue.ts';
import { RESOURCE_GROUP } from './catalogue-file.ts';

let dataFolder: string;
let authority: Authority;
let catalogue: CatalogueServer;
let issuer: Issuer;
let subscriptionId: string;
let credential: TokenCredential;

beforeAll(async () => {
  dataFolder = mkdtempSync(join(tmpdir(), 'secondsite-catalogue-'));
  const tenant = ensureTenant(dataFolder);
  const key = ensureTokenKey(dataFolder);
  subscriptionId = tenant.subscriptionId;
  authority = await createAuthority(join(dataFolder, 'ca'));
  const tls = await issueServerCertificate(authority);
  issuer = await startIssuer({ key, tenantId: tenant.tenantId, tls });
  catalogue = await startCatalogue({
    dataFolder,
    ...tenant,
    tls,
    checkToken: tokenCheck(key, issuer.issuer),
  });
  const token = await mintToken({ key, issuer: issuer.issuer, tenantId: tenant.tenantId, role: 'reader' });
  credential = credentialOf(token.token);
});
afterAll(async () => {
  await catalogue.close();
  await issuer.close();
  rmSync(dataFolder, { recursive: true, force: true });
});

function credentialOf(token: string): TokenCredential {
  return { getToken: () => Promise.resolve({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
}

/** The clients' options; a process of its own would have NODE_EXTRA_CA_CERTS instead of the agent. */
function options(): object {
  return {
    endpoint: catalogue.endpoint,
    agent: new Agent({ ca: authority.certificatePem }),
    tlsOptions: { ca: authority.certificatePem },
    retryOptions: { maxRetries: 0 },
  };
}

async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of pages) found.push(item);
  return found;
}

const storage = (): StorageManagementClient =>
  new StorageManagementClient(credential, subscriptionId, options());
const network = (): NetworkManagementClient =>
  new NetworkManagementClient(credential, subscriptionId, options());

describe('the catalogue, through the official clients', () => {
  test('has one usable storage account and two that do not fit', async () => {
    const accounts = await all(storage().storageAccounts.listByResourceGroup(RESOURCE_GROUP));
    expect(accounts.map(({ name, location, kind, sku }) => [name, location, kind, sku?.name])).toEqual([
      ['contosovmreplica', 'eastus', 'StorageV2', 'Standard_LRS'],
      ['contosopremium', 'eastus', 'StorageV2', 'Premium_LRS'],
      ['contosofarwest', 'westus', 'StorageV2', 'Standard_LRS'],
    ]);
    expect(await all(storage().storageAccounts.list())).toEqual(accounts);
    const one = await storage().storageAccounts.getProperties(
      RESOURCE_GROUP.toUpperCase(),
      'contosoVMreplica',
    );
    expect(one).toEqual(accounts[0]);
  });

  test('has two networks with a subnet each', async () => {
    const networks = await all(network().virtualNetworks.listAll());
    expect(networks.map(({ name, addressSpace }) => [name, addressSpace?.addressPrefixes])).toEqual([
      ['ContosoVNet', ['10.10.0.0/16']],
      ['ContosoTestVNet', ['10.20.0.0/16']],
    ]);
    expect(await network().virtualNetworks.get(RESOURCE_GROUP, 'ContosoVNet')).toEqual(networks[0]);
    const subnets = await all(network().subnets.list(RESOURCE_GROUP, 'ContosoVNet'));
    expect(subnets).toEqual(networks[0]?.subnets);
    expect((await network().subnets.get(RESOURCE_GROUP, 'ContosoVNet', 'default')).addressPrefix).toBe(
      '10.10.0.0/24',
    );
  });

  test('has one subscription and its locations', async () => {
    const client = new SubscriptionClient(credential, options());
    const subscriptions = await all(client.subscriptions.list());
    expect(subscriptions).toHaveLength(1);
    expect(subscriptions[0]).toMatchObject({ subscriptionId, state: 'Enabled' });
    expect(await client.subscriptions.get(subscriptionId)).toEqual(subscriptions[0]);
    const locations = await all(client.subscriptions.listLocations(subscriptionId));
    expect(locations.map(({ name }) => name)).toContain('eastus');
  });

  test('says what is not there, in ARM terms', async () => {
    const missing = storage().storageAccounts.getProperties(RESOURCE_GROUP, 'nosuchaccount');
    await expect(missing).rejects.toMatchObject({ statusCode: 404, code: 'ResourceNotFound' });
    await expect(network().subnets.get(RESOURCE_GROUP, 'ContosoVNet', 'nope')).rejects.toMatchObject({
      code: 'ResourceNotFound',
    });
    await expect(all(storage().storageAccounts.listByResourceGroup('NoSuchRG'))).rejects.toMatchObject({
      code: 'ResourceGroupNotFound',
    });
    const elsewhere = new StorageManagementClient(
      credential,
      '00000000-0000-0000-0000-000000000000',
      options(),
    );
    await expect(all(elsewhere.storageAccounts.list())).rejects.toMatchObject({
      code: 'SubscriptionNotFound',
    });
    const created = storage().storageAccounts.create(RESOURCE_GROUP, 'newaccount', {
      kind: 'StorageV2',
      location: 'eastus',
      sku: { name: 'Standard_LRS' },
    });
    await expect(created).rejects.toMatchObject({ statusCode: 405, code: 'MethodNotAllowed' });
  });

  test('refuses a token that another key signed, or that is for another issuer', async () => {
    const { tenantId } = ensureTenant(dataFolder);
    const strangers = ensureTokenKey(join(dataFolder, 'stranger'));
    const forged = await mintToken({ key: strangers, issuer: issuer.issuer, tenantId, role: 'contributor' });
    const key = ensureTokenKey(dataFolder);
    const foreign = await mintToken({ key, issuer: 'https://elsewhere/', tenantId, role: 'contributor' });
    const nowMs = Date.now() - 2 * 3_600_000;
    const expired = await mintToken({ key, issuer: issuer.issuer, tenantId, role: 'contributor', nowMs });
    for (const { token } of [forged, foreign, expired]) {
      const client = new StorageManagementClient(credentialOf(token), subscriptionId, options());
      await expect(all(client.storageAccounts.list())).rejects.toMatchObject({
        statusCode: 401,
        code: 'InvalidAuthenticationToken',
      });
    }
  });

  test('shows an edit of its file at once', async () => {
    const path = join(dataFolder, 'catalogue.json');
    const before = readFileSync(path, 'utf8');
    writeFileSync(path, before.replace('contosofarwest', 'contosofareast'));
    const names = (await all(storage().storageAccounts.list())).map(({ name }) => name);
    writeFileSync(path, before);
    expect(names).toContain('contosofareast');
  });
});
