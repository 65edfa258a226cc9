import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { ServiceBusClient } from '@azure/service-bus';
import { CompactSign, importJWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureApplianceItem } from '../../shared/fabric/appliance-item.ts';
import { replicaContainerName } from '../../shared/fabric/appliance-token.ts';
import { Table } from '../../shared/store/table.ts';
import { BlobServiceClient, ContainerClient } from '@azure/storage-blob';
import { type TestPlatform, startTestPlatform } from './platform.ts';
import {
  TestAppliance,
  claimsOf,
  downloadKey,
  makeKeyPair,
  registrationBody,
  sign,
} from './test-appliance.ts';

const minute = 60_000;

const freshKeys = () => ({ signing: makeKeyPair(), encryption: makeKeyPair() });

describe('appliances', () => {
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

  function register(vaultName: string, body: unknown) {
    return platform.request('POST', `${platform.vaultId(vaultName)}/secondsite/registrations`, {
      body,
      role: null,
    });
  }

  /** The vault's own signature over other claims. */
  async function resigned(key: string, change: object): Promise<string> {
    const file = JSON.parse(readFileSync(platform.platform.config.vaultKeyPath, 'utf8')) as {
      signing: Record<string, string>;
    };
    const claims = { aud: 'secondsite-registration', ...claimsOf(key), ...change };
    return new CompactSign(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'ES256' })
      .sign(await importJWK(file.signing, 'ES256'));
  }

  /** Sends a registration; answers what came of it, and how many appliances the vault then has. */
  async function attempt(vaultName: string, body: unknown) {
    const answer = await register(vaultName, body);
    const { error } = answer.body as { error?: { code: string } };
    const fabrics = await platform.request('GET', `${platform.vaultId(vaultName)}/replicationFabrics`);
    const { value } = fabrics.body as { value: object[] };
    return { status: answer.status, code: error?.code, appliances: value.length };
  }

  describe('registration', () => {
    it('needs a contributor for the key', async () => {
      const path = `${platform.vaultId(await freshVault())}/secondsite/registrationKeys`;
      expect(await platform.request('POST', path, { role: 'operator' })).toMatchObject({ status: 403 });
    });

    it('gives the same answer when it is repeated, because an answer may get lost', async () => {
      const vault = await freshVault();
      const body = await registrationBody(await downloadKey(platform, vault), freshKeys());
      const first = await register(vault, body);
      const { applianceId } = first.body as { applianceId: string };
      expect(first).toMatchObject({
        status: 200,
        body: { vaultId: platform.vaultId(vault), containerName: `cloud_${applianceId}` },
      });
      expect(await register(vault, body)).toMatchObject({ status: 200, body: { applianceId } });
    });

    it('refuses a key that another appliance has used', async () => {
      const vault = await freshVault();
      const key = await downloadKey(platform, vault);
      await register(vault, await registrationBody(key, freshKeys()));
      expect(await register(vault, await registrationBody(key, freshKeys()))).toMatchObject({
        status: 403,
        body: { error: { code: 'RegistrationKeyUsed' } },
      });
    });

    it('lets one of two appliances in that use a key at the same moment', async () => {
      const vault = await freshVault();
      const key = await downloadKey(platform, vault);
      const bodies = [await registrationBody(key, freshKeys()), await registrationBody(key, freshKeys())];
      const answers = await Promise.all(bodies.map((body) => register(vault, body)));
      expect(answers.map(({ status }) => status)).toSatisfy(
        (all: number[]) => all.includes(200) && all.includes(403),
      );
    });

    it('refuses a key past its five days', async () => {
      const vault = await freshVault();
      const exp = Math.floor(Date.now() / 1_000) - 1;
      const key = await resigned(await downloadKey(platform, vault), { exp });
      expect(await attempt(vault, await registrationBody(key, freshKeys()))).toEqual({
        status: 403,
        code: 'RegistrationKeyExpired',
        appliances: 0,
      });
    });

    it('refuses a forged key', async () => {
      const vault = await freshVault();
      const claims = { aud: 'secondsite-registration', ...claimsOf(await downloadKey(platform, vault)) };
      const forged = await sign(claims, makeKeyPair());
      expect(await attempt(vault, await registrationBody(forged, freshKeys()))).toEqual({
        status: 401,
        code: 'AuthenticationFailed',
        appliances: 0,
      });
    });

    it('refuses a genuine key that the vault never gave out', async () => {
      const vault = await freshVault();
      const key = await resigned(await downloadKey(platform, vault), { jti: randomUUID() });
      expect(await attempt(vault, await registrationBody(key, freshKeys()))).toEqual({
        status: 401,
        code: 'AuthenticationFailed',
        appliances: 0,
      });
    });

    it("refuses another vault's key", async () => {
      const [one, other] = [await freshVault(), await freshVault()];
      const body = await registrationBody(await downloadKey(platform, other), freshKeys());
      expect(await attempt(one, body)).toEqual({ status: 401, code: 'AuthenticationFailed', appliances: 0 });
    });

    it('refuses a key without the proof that the signing key is at hand', async () => {
      const vault = await freshVault();
      const body = await registrationBody(await downloadKey(platform, vault), freshKeys());
      expect(await attempt(vault, { ...body, signingKey: makeKeyPair().jwk })).toEqual({
        status: 401,
        code: 'AuthenticationFailed',
        appliances: 0,
      });
    });

    it.each([-16, 16])('refuses a clock that is off by %i minutes', async (minutes) => {
      const vault = await freshVault();
      const key = await downloadKey(platform, vault);
      const body = await registrationBody(key, freshKeys(), Date.now() + minutes * minute);
      expect(await attempt(vault, body)).toEqual({ status: 403, code: 'ClockSkew', appliances: 0 });
    });

    it('takes a clock that is off by 14 minutes', async () => {
      const vault = await freshVault();
      const key = await downloadKey(platform, vault);
      const body = await registrationBody(key, freshKeys(), Date.now() - 14 * minute);
      expect(await register(vault, body)).toMatchObject({ status: 200 });
    });

    it('refuses a key of a vault that was deleted and made again', async () => {
      const vault = await freshVault();
      const key = await downloadKey(platform, vault);
      expect(await platform.request('DELETE', platform.vaultId(vault))).toMatchObject({ status: 200 });
      await platform.request('PUT', platform.vaultId(vault), { body: { location: 'eastus' } });
      expect(await attempt(vault, await registrationBody(key, freshKeys()))).toEqual({
        status: 401,
        code: 'AuthenticationFailed',
        appliances: 0,
      });
    });

    it('tells who has no key nothing of the vault', async () => {
      const body = await registrationBody(
        await sign({ ...claimsOf(await downloadKey(platform, await freshVault())) }, makeKeyPair()),
        freshKeys(),
      );
      expect(await register('NoSuchVault', body)).toMatchObject({ status: 401 });
    });
  });

  describe('tokens', () => {
    let appliance: TestAppliance;

    beforeAll(async () => {
      appliance = await TestAppliance.register(platform, await freshVault());
    });

    afterAll(async () => {
      await appliance.close();
    });

    it('allow to listen on the own queue only, and not to send there', async () => {
      const { commands } = await appliance.tokens();
      const client = new ServiceBusClient(commands.connectionString, { retryOptions: { maxRetries: 0 } });
      const send = client.createSender(commands.queue).sendMessages({ body: 'x' });
      await expect(send).rejects.toMatchObject({ code: 'UnauthorizedAccess' });
      await client.close();
    });

    it('allow to send check-ins, and not to read them', async () => {
      const { checkIns } = await appliance.tokens();
      const client = new ServiceBusClient(checkIns.connectionString, { retryOptions: { maxRetries: 0 } });
      const read = client.createReceiver(checkIns.queue).peekMessages(1);
      await expect(read).rejects.toMatchObject({ code: 'UnauthorizedAccess' });
      await client.close();
    });

    it("allow to create blobs of the appliance's items: neither read, nor overwrite, nor delete", async () => {
      const { config } = platform.platform;
      const protectedItemId = randomUUID();
      const table = new Table(config.storageConnectionString, 'secondsite');
      const { applianceId, fabricName, containerName } = appliance.registration;
      const vault = {
        subscriptionId: platform.subscriptionId,
        resourceGroup: platform.resourceGroup,
        vaultName: appliance.vaultName,
      };
      const item = { protectedItemId, fabricName, containerName, itemName: 'web' };
      await ensureApplianceItem(table, { vault, applianceId }, item);
      const storage = BlobServiceClient.fromConnectionString(config.storageConnectionString);
      await storage.getContainerClient(replicaContainerName(protectedItemId)).create();

      const { replicas } = await appliance.tokens();
      expect(replicas.map((replica) => replica.protectedItemId)).toEqual([protectedItemId]);
      const grant = replicas[0]!.grant;
      const container = new ContainerClient(`${grant.containerUrl}?${grant.sas}`, undefined, {
        retryOptions: { maxTries: 1 },
      });
      const blob = container.getBlockBlobClient('log/000000000001.seg');
      await blob.upload('segment', 7, { conditions: { ifNoneMatch: '*' } });
      await expect(blob.upload('forgery', 7, { conditions: { ifNoneMatch: '*' } })).rejects.toThrow(/./u);
      await expect(blob.upload('forgery', 7)).rejects.toMatchObject({ statusCode: 403 });
      await expect(blob.downloadToBuffer()).rejects.toMatchObject({ statusCode: 403 });
      await expect(blob.delete()).rejects.toMatchObject({ statusCode: 403 });
    });

    it.each([
      ['another key', async (claims: object) => sign(claims, makeKeyPair()), 'AuthenticationFailed', 401],
      [
        "another's name",
        async (claims: object) => sign({ ...claims, iss: randomUUID() }, appliance.signing),
        'AuthenticationFailed',
        401,
      ],
      [
        'another vault',
        async (claims: object) => sign({ ...claims, aud: '/subscriptions/x' }, appliance.signing),
        'AuthenticationFailed',
        401,
      ],
      [
        'a life of an hour',
        async (claims: { iat: number }) => sign({ ...claims, exp: claims.iat + 3_600 }, appliance.signing),
        'AuthenticationFailed',
        401,
      ],
      [
        'a clock 20 minutes ahead',
        async () => sign(appliance.assertionClaims(Date.now() + 20 * minute), appliance.signing),
        'ClockSkew',
        403,
      ],
      [
        'a clock 20 minutes behind',
        async () => sign(appliance.assertionClaims(Date.now() - 20 * minute), appliance.signing),
        'ClockSkew',
        403,
      ],
    ] as const)('are refused to an assertion with %s', async (_, make, code, status) => {
      const assertion = await make(appliance.assertionClaims());
      expect(await appliance.askTokens(assertion)).toMatchObject({ status, body: { error: { code } } });
    });
  });
});
