import { ServiceBusClient } from '@azure/service-bus';
import { ContainerClient, ContainerSASPermissions } from '@azure/storage-blob';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  findProxy,
  proxyOf,
  serviceBusOptions,
  uploadAgents,
  type InternetSettings,
} from '../../../appliance/configuration-server/outbound.ts';
import { openStore } from '../../../appliance/configuration-server/store.ts';
import { setUp } from '../../../appliance/setup/set-up.ts';
import { startServiceBus } from '../../../local/service-bus/broker.ts';
import { startStorage, type Storage } from '../../../local/storage/storage.ts';
import { createAuthority, issueCertificate } from '../../../shared/certificate.ts';
import { BlobReplicaStore } from '../../../shared/replica/blob-replica-store.ts';
import type { UploadAgents } from '../../../shared/replica/put-blob.ts';
import { ProxyServer } from './proxy-server.ts';
import { VaultServer } from './vault-server.ts';

let folder: string;
let vault: VaultServer;
let proxy: ProxyServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'proxy-'));
  vault = await VaultServer.start();
});

afterEach(async () => {
  await proxy.close();
  await vault.close();
  await rm(folder, { recursive: true, force: true });
});

test('registers through a proxy', async () => {
  proxy = await ProxyServer.start();
  const { prerequisites } = await register(custom());
  expect(new Set(proxy.asked)).toEqual(new Set([`127.0.0.1:${vault.port}`]));
  expect(prerequisites.checks.find(({ name }) => name === 'vaultReachable')).toMatchObject({
    outcome: 'Passed',
    found: `it answers through the proxy 127.0.0.1:${proxy.port}`,
  });
});

test('registers through a proxy that wants a user and password, and keeps the password sealed', async () => {
  proxy = await ProxyServer.start({ login: 'site:p@ss:w/rd' });
  const settings = { ...custom(), user: 'site', password: 'p@ss:w/rd' };
  await register(settings);
  expect(proxy.asked.length).toBeGreaterThan(0);
  const store = openStore(join(folder, 'data'));
  expect(findProxy(store)).toEqual(proxyOf(settings));
  const kept = store.db
    .prepare('SELECT * FROM setting')
    .all()
    .map(({ value }) => String(value));
  expect(kept.filter((value) => value.includes('p@ss') || value.includes('p%40ss'))).toEqual([]);
  store.db.close();
});

test('says that the proxy refuses when its password is wrong, without the password', async () => {
  proxy = await ProxyServer.start({ login: 'site:right' });
  const refused = await register({ ...custom(), user: 'site', password: 'wr0ng-one' }).catch(
    (error: unknown) => error,
  );
  expect(refused).toMatchObject({
    fault: { code: 'Unavailable', recommendedAction: expect.stringContaining('proxy') },
  });
  expect(JSON.stringify(refused)).not.toContain('wr0ng-one');
});

test('the machine’s own proxy is used where that is chosen, and none where directly is', async () => {
  proxy = await ProxyServer.start();
  process.env['HTTPS_PROXY'] = `http://127.0.0.1:${proxy.port}`;
  try {
    await register({ mode: 'direct' });
    expect(proxy.asked).toEqual([]);
    await register({ mode: 'machine' });
    expect(proxy.asked).not.toEqual([]);
  } finally {
    delete process.env['HTTPS_PROXY'];
  }
});

test('what the machine’s NO_PROXY names is reached without its proxy', async () => {
  proxy = await ProxyServer.start();
  process.env['HTTPS_PROXY'] = `http://127.0.0.1:${proxy.port}`;
  process.env['NO_PROXY'] = 'elsewhere.test,127.0.0.1';
  try {
    await register({ mode: 'machine' });
    expect(proxy.asked).toEqual([]);
  } finally {
    delete process.env['HTTPS_PROXY'];
    delete process.env['NO_PROXY'];
  }
});

test('what a proxy of one’s own is to be left out for is reached without it', async () => {
  proxy = await ProxyServer.start();
  await register({ ...custom(), bypass: [`127.0.0.1:${vault.port}`] });
  expect(proxy.asked).toEqual([]);
});

test('sends to Service Bus over WebSocket through the proxy', async () => {
  const { certificate, authority } = await certificateFor('localhost');
  const broker = await startServiceBus({
    dataFolder: folder,
    rules: [{ name: 'root', key: 'root-key-of-the-tests', rights: ['Manage', 'Send', 'Listen'] }],
    queues: [{ name: 'agent-checkins' }],
    tls: { key: certificate.privateKeyPem, cert: certificate.certificatePem },
  });
  proxy = await ProxyServer.start({ login: 'site:secret' });
  const through = proxyOf({ ...custom(), user: 'site', password: 'secret' });
  const client = new ServiceBusClient(
    broker.connectionString('root'),
    serviceBusOptions(through, authority.certificatePem),
  );
  await client.createSender('agent-checkins').sendMessages({ body: 'through the proxy' });
  const receiver = client.createReceiver('agent-checkins', { receiveMode: 'receiveAndDelete' });
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 20_000 });
  expect(message?.body).toBe('through the proxy');
  expect(new Set(proxy.asked)).toEqual(new Set([`localhost:${broker.port}`]));
  await client.close();
  await broker.close();
});

describe('segments', () => {
  let storage: Storage;
  let container: ContainerClient;

  beforeEach(async () => {
    storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
    container = new ContainerClient(storage.connectionString, 'replica-of-the-tests');
    await container.create();
  });

  afterEach(async () => storage.close());

  test('are uploaded through the proxy, with its user and password', async () => {
    proxy = await ProxyServer.start({ login: 'site:secret' });
    const agents = uploadAgents(proxyOf({ ...custom(), user: 'site', password: 'secret' }), undefined);
    expect(await upload(agents)).toBe('created');
    expect(proxy.asked).toEqual([new URL(container.url).host]);
  });

  test('are uploaded over https through the proxy to an account of the vault’s own authority', async () => {
    const { certificate, authority } = await certificateFor('localhost');
    const front = createTlsServer(
      { key: certificate.privateKeyPem, cert: certificate.certificatePem },
      (tls) => tls.pipe(connect(Number(new URL(container.url).port), '127.0.0.1')).pipe(tls),
    );
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    const { port } = front.address() as AddressInfo; // a TCP server that listens has one
    proxy = await ProxyServer.start();
    const agents = uploadAgents(proxyOf(custom()), authority.certificatePem);
    expect(await upload(agents, `https://localhost:${port}`)).toBe('created');
    expect(proxy.asked).toEqual([`localhost:${port}`]);
    expect(await container.getBlobClient('log/000000000001.seg').exists()).toBe(true);
    front.close();
  });

  test('say that the proxy refuses them, so that they are tried again', async () => {
    proxy = await ProxyServer.start({ login: 'site:right' });
    const agents = uploadAgents(proxyOf({ ...custom(), user: 'site', password: 'wr0ng-one' }), undefined);
    const refused = await upload(agents).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'ProxyAuthenticationRequired', isRetryable: true });
    expect(String(refused)).not.toContain('wr0ng-one');
  });

  async function upload(agents: Required<UploadAgents>, origin?: string): Promise<'created' | 'exists'> {
    const permissions = ContainerSASPermissions.parse('c');
    const url = await container.generateSasUrl({ permissions, expiresOn: new Date(Date.now() + 600_000) });
    const [containerUrl = '', sas = ''] = url.split('?');
    const grant = { containerUrl: containerUrl.replace(/^http:\/\/[^/]+/u, origin ?? '$&'), sas };
    try {
      const store = new BlobReplicaStore(grant, agents);
      return await store.putIfAbsent('log/000000000001.seg', Buffer.from('a segment'));
    } finally {
      agents.http.destroy();
      agents.https.destroy();
    }
  }
});

function custom(): InternetSettings & { mode: 'custom' } {
  return { mode: 'custom', address: '127.0.0.1', port: proxy.port };
}

async function register(internet: InternetSettings) {
  const keyPath = join(folder, 'key.json');
  await writeFile(keyPath, JSON.stringify(await vault.createKey()));
  const where = { keyPath, dataFolder: join(folder, 'data'), host: '127.0.0.1', port: 0, waitSeconds: 0 };
  return setUp({ ...where, internet, onRetry: () => undefined });
}

async function certificateFor(name: string) {
  const nowMs = Date.now();
  const authority = await createAuthority({ commonName: 'Test CA', days: 2, nowMs });
  const names = { dnsNames: [name], ipAddresses: [] };
  const days = { days: 1, nowMs };
  const certificate = await issueCertificate(authority, {
    commonName: name,
    usage: 'server',
    ...names,
    ...days,
  });
  return { authority, certificate };
}
