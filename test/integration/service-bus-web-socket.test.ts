import { ServiceBusClient } from '@azure/service-bus';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { createAuthority, issueCertificate } from '../../shared/certificate.ts';
import { connect, startBus } from './service-bus-fixture.ts';

async function startTlsBus() {
  const nowMs = Date.now();
  const authority = await createAuthority({ commonName: 'Test CA', days: 2, nowMs });
  const { certificatePem: cert, privateKeyPem: key } = await issueCertificate(authority, {
    commonName: 'localhost',
    usage: 'server',
    dnsNames: ['localhost'],
    ipAddresses: [],
    days: 1,
    nowMs,
  });
  const bus = await startBus({ orders: {} }, { tls: { cert, key } });
  return { bus, ca: authority.certificatePem };
}

function connectByWebSocket(connectionString: string, ca: string): ServiceBusClient {
  const client = new ServiceBusClient(connectionString, {
    retryOptions: { maxRetries: 0, timeoutInMs: 10_000 },
    webSocketOptions: { webSocket: WebSocket, webSocketConstructorOptions: { ca } },
  });
  onTestFinished(() => client.close());
  return client;
}

test('what is sent over WebSocket is received over TCP from the same port, and the other way round', async () => {
  const { bus, ca } = await startTlsBus();
  const clients = [
    connectByWebSocket(bus.connectionString('sender'), ca),
    connect(bus.connectionString('listener')),
    connect(bus.connectionString('sender')),
    connectByWebSocket(bus.connectionString('listener'), ca),
  ] as const;
  for (const [sender, listener] of [
    [clients[0], clients[1]],
    [clients[2], clients[3]],
  ] as const) {
    const body = 'x'.repeat(200_000);
    await sender.createSender('orders').sendMessages({ body });
    const receiver = listener.createReceiver('orders');
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 20_000 });
    expect(message?.body).toBe(body);
    if (message !== undefined) await receiver.completeMessage(message);
    await receiver.close();
  }
});

test('what a rule does not allow is refused over WebSocket too', async () => {
  const { bus, ca } = await startTlsBus();
  const client = connectByWebSocket(bus.connectionString('listener'), ca);
  const sending = client.createSender('orders').sendMessages({ body: 'not mine to send' });
  await expect(sending).rejects.toMatchObject({ code: 'UnauthorizedAccess' });
});

test('another subprotocol and another path are refused', async () => {
  const { bus, ca } = await startTlsBus();
  const other = new WebSocket(`wss://localhost:${bus.port}/$servicebus/websocket`, ['mqtt'], { ca });
  const [refusal] = (await once(other, 'error')) as [Error];
  expect(refusal.message).toMatch(/subprotocol/u);
  const elsewhere = new WebSocket(`wss://localhost:${bus.port}/elsewhere`, ['AMQPWSB10'], { ca });
  const [unknown] = (await once(elsewhere, 'error')) as [Error];
  expect(unknown.message).toMatch(/400|404/u);
});

test('a bus without a certificate takes TLS for what it is: not AMQP', async () => {
  const bus = await startBus({ orders: {} });
  const client = new WebSocket(`wss://localhost:${bus.port}/$servicebus/websocket`, ['AMQPWSB10']);
  const [refusal] = (await once(client, 'error')) as [Error];
  expect(refusal).toBeInstanceOf(Error);
});

test('stopping says goodbye to those that came by WebSocket', async () => {
  const { bus, ca } = await startTlsBus();
  const socket = new WebSocket(`wss://localhost:${bus.port}/$servicebus/websocket`, ['AMQPWSB10'], { ca });
  await once(socket, 'open');
  const closed = once(socket, 'close');
  await bus.close();
  const [code] = (await closed) as [number];
  expect([1000, 1001]).toContain(code);
});
