import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceBusClient } from '@azure/service-bus';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { findFreePort } from '../../local/free-port.ts';
import { startServiceBus, type RunningServiceBus } from '../../local/service-bus/broker.ts';
import {
  fixtureApp,
  startHost,
  temporaryFolder,
  type HostProcess,
  type TemporaryFolder,
} from './functions-host-fixture.ts';

type Body = { id?: number; failures?: number; until?: string };
type Entry = { body: Body | string | number; triggerMetadata: Record<string, unknown> };

let folder: TemporaryFolder;
let port: number;
let bus: RunningServiceBus;
let host: HostProcess;
let client: ServiceBusClient;

beforeEach(async () => {
  folder = temporaryFolder();
  port = await findFreePort();
  bus = await startBus();
  client = new ServiceBusClient(bus.connectionString('root'));
});

afterEach(async () => {
  await host.kill();
  await client.close();
  await bus.close();
  folder.remove();
});

function startBus(): Promise<RunningServiceBus> {
  return startServiceBus({
    dataFolder: join(folder.path, 'bus'),
    port,
    rules: [{ name: 'root', key: 'cm9vdA==', rights: ['Manage', 'Send', 'Listen'] }],
    queues: [{ name: 'orders', settings: { MaxDeliveryCount: '4' } }],
  });
}

async function start(): Promise<HostProcess> {
  host = await startHost({
    appFolder: fixtureApp('triggers'),
    dataFolder: folder.path,
    settings: { JOURNAL: join(folder.path, 'journal'), SERVICE_BUS: bus.connectionString('root') },
  });
  return host;
}

function entries(): Entry[] {
  const path = join(folder.path, 'journal');
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Entry);
}

async function waitForEntries(count: number): Promise<Entry[]> {
  while (entries().length < count) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  return entries();
}

async function send(...bodies: unknown[]): Promise<void> {
  const sender = client.createSender('orders');
  await sender.sendMessages(bodies.map((body) => ({ body })));
  await sender.close();
}

/** Takes messages from a queue until it has so many. */
async function take(queueType: 'deadLetter' | undefined, count: number): Promise<Body[]> {
  const receiver = client.createReceiver('orders', {
    receiveMode: 'receiveAndDelete',
    ...(queueType === undefined ? {} : { subQueueType: queueType }),
  });
  const bodies: Body[] = [];
  while (bodies.length < count) {
    const messages = await receiver.receiveMessages(count - bodies.length, { maxWaitTimeInMs: 5000 });
    bodies.push(...messages.map(({ body }) => body as Body));
  }
  expect(await receiver.peekMessages(1)).toEqual([]);
  await receiver.close();
  return bodies;
}

test('a function gets the message parsed, and its metadata under the names of the real host', async () => {
  await start();
  const sender = client.createSender('orders');
  await sender.sendMessages({
    body: { id: 7 },
    messageId: 'the-id',
    correlationId: 'the-correlation',
    subject: 'the subject',
    contentType: 'application/json',
    applicationProperties: { Kind: 'a', number: 3 },
  });
  const [entry] = await waitForEntries(1);
  expect(entry?.body).toEqual({ id: 7 });
  expect(entry?.triggerMetadata).toMatchObject({
    messageId: 'the-id',
    correlationId: 'the-correlation',
    subject: 'the subject',
    contentType: 'application/json',
    deliveryCount: 1,
    applicationProperties: { kind: 'a', number: 3 },
    userProperties: { kind: 'a', number: 3 },
  });
  expect(entry?.triggerMetadata).toHaveProperty('enqueuedTimeUtc');
  expect(entry?.triggerMetadata).toHaveProperty('lockToken');
  await send('just text');
  expect((await waitForEntries(2))[1]?.body).toBe('just text');
});

test('300 messages settled in a rush get each the outcome it should: completed, retried or dead-lettered', async () => {
  const bodies = Array.from({ length: 300 }, (_unused, id) => ({ id, failures: [0, 1, 99][id % 3] ?? 0 }));
  await send(...bodies);
  await start();
  const deadLetters = await take('deadLetter', 100);
  await waitForEntries(100 + 200 + 400);
  expect(deadLetters.map(({ id = -1 }) => id % 3)).toEqual(Array.from({ length: 100 }, () => 2));
  expect(new Set(deadLetters.map(({ id }) => id)).size).toBe(100);
  const deliveries = new Map<number, number>();
  for (const { body } of entries()) {
    const { id = -1 } = body as Body;
    deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
  }
  for (const { id } of bodies) expect([id, deliveries.get(id)]).toEqual([id, [1, 2, 4][id % 3]]);
  expect(await host.stop()).toBe(0);
  expect(await take(undefined, 0)).toEqual([]);
});

test('a message in work is finished and completed before the host stops', async () => {
  await start();
  await send({ until: 'go' });
  await waitForEntries(1);
  const stopped = host.stop();
  writeFileSync(join(folder.path, 'journal.go'), '');
  expect(await stopped).toBe(0);
  expect(await take(undefined, 0)).toEqual([]);
});

test('the trigger begins when the broker comes up after the host, and goes on when the broker was restarted', async () => {
  await bus.close();
  await start();
  bus = await startBus();
  await send({ id: 1 });
  await waitForEntries(1);
  await client.close();
  await bus.close();
  bus = await startBus();
  client = new ServiceBusClient(bus.connectionString('root'));
  await send({ id: 2 });
  expect((await waitForEntries(2)).map(({ body }) => body)).toEqual([{ id: 1 }, { id: 2 }]);
});
