import { ServiceBusClient } from '@azure/service-bus';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import {
  findProxyUrl,
  proxyUrlOf,
  serviceBusOptions,
  type InternetSettings,
} from '../../../appliance/configuration-server/outbound.ts';
import { openStore } from '../../../appliance/configuration-server/store.ts';
import { setUp } from '../../../appliance/setup/set-up.ts';
import { startServiceBus } from '../../../local/service-bus/broker.ts';
import { createAuthority, issueCertificate } from '../../../shared/certificate.ts';
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
  expect(findProxyUrl(store)).toBe(proxyUrlOf(settings));
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

test('sends to Service Bus over WebSocket through the proxy', async () => {
  const host = 'localhost'; // the name that the local broker's tokens are for
  const queues = ['agent-checkins'];
  const rules = [
    { name: 'root', key: 'root-key-of-the-tests', rights: ['Manage', 'Send', 'Listen'] as const },
  ];
  const broker = await startServiceBus({
    dataFolder: folder,
    port: 0,
    rules: rules.map((rule) => ({ ...rule, rights: [...rule.rights] })),
    queues: queues.map((name) => ({ name })),
  });
  const bridge = await startBridge(host, broker.port);
  proxy = await ProxyServer.start({ login: 'site:secret', routes: { [`${host}:443`]: bridge.port } });
  const proxyUrl = proxyUrlOf({ ...custom(), user: 'site', password: 'secret' });
  const connectionString = `Endpoint=sb://${host};SharedAccessKeyName=root;SharedAccessKey=root-key-of-the-tests`;
  const client = new ServiceBusClient(connectionString, serviceBusOptions(proxyUrl, bridge.caCertificatePem));
  await client.createSender('agent-checkins').sendMessages({ body: 'through the proxy' });
  const receiver = client.createReceiver('agent-checkins', { receiveMode: 'receiveAndDelete' });
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 20_000 });
  expect(message?.body).toBe('through the proxy');
  expect(new Set(proxy.asked)).toEqual(new Set([`${host}:443`]));
  await client.close();
  await bridge.close();
  await broker.close();
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

/** What Service Bus itself has on port 443: AMQP in WebSocket frames, here in front of the local broker. */
async function startBridge(host: string, brokerPort: number) {
  const nowMs = Date.now();
  const authority = await createAuthority({ commonName: 'Test CA', days: 2, nowMs });
  const names = { dnsNames: [host], ipAddresses: [] };
  const own = await issueCertificate(authority, {
    commonName: host,
    usage: 'server',
    ...names,
    days: 1,
    nowMs,
  });
  const server = createServer({ cert: own.certificatePem, key: own.privateKeyPem });
  const sockets = new WebSocketServer({ server, path: '/$servicebus/websocket' });
  sockets.on('connection', (socket) => {
    const amqp = connect(brokerPort, '127.0.0.1');
    amqp.on('data', (chunk) => socket.send(chunk));
    amqp.on('close', () => socket.close());
    amqp.on('error', () => socket.close());
    socket.on('message', (data) => void amqp.write(data as Buffer)); // binary frames come as buffers
    socket.on('close', () => amqp.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    caCertificatePem: authority.certificatePem,
    close: async () => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
