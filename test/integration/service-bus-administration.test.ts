import { ServiceBusAdministrationClient } from '@azure/service-bus';
import { describe, expect, test } from 'vitest';
import { connect, firstError, receiveOne, startAdministration } from './service-bus-fixture.ts';

describe('a queue', () => {
  test('is made, changed, found and deleted through the administration client', async () => {
    const { admin } = await startAdministration();
    const made = await admin.createQueue('commands-1', {
      maxDeliveryCount: 5,
      lockDuration: 'PT30S',
      defaultMessageTimeToLive: 'P14D',
      deadLetteringOnMessageExpiration: true,
      userMetadata: `<&"'>`,
    });
    expect(made).toMatchObject({ name: 'commands-1', maxDeliveryCount: 5, lockDuration: 'PT30S' });
    expect(made.userMetadata).toBe(`<&"'>`);
    await admin.updateQueue({ ...made, maxDeliveryCount: 7 });
    const found = await admin.getQueue('COMMANDS-1');
    expect(found).toMatchObject({ ...made, maxDeliveryCount: 7 });
    expect(await admin.queueExists('commands-1')).toBe(true);
    await admin.deleteQueue('commands-1');
    expect(await admin.queueExists('commands-1')).toBe(false);
  });

  test('is usable at once, and its receivers are detached when it is deleted', async () => {
    const { bus, admin } = await startAdministration();
    await admin.createQueue('fresh');
    const client = connect(bus.connectionString('root'));
    await client.createSender('fresh').sendMessages({ body: 'hello' });
    const receiver = client.createReceiver('fresh');
    await receiver.completeMessage(await receiveOne(receiver));
    const error = firstError(client.createReceiver('fresh'));
    await admin.deleteQueue('fresh');
    expect((await error).error.message).toContain('could not be found');
  });

  test('reports how many messages it holds', async () => {
    const { bus, admin } = await startAdministration({ orders: {} });
    const client = connect(bus.connectionString('root'));
    const sender = client.createSender('orders');
    await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
    await sender.scheduleMessages({ body: 4 }, new Date(Date.now() + 3_600_000));
    const receiver = client.createReceiver('orders');
    await receiver.deadLetterMessage(await receiveOne(receiver));
    expect(await admin.getQueueRuntimeProperties('orders')).toMatchObject({
      activeMessageCount: 2,
      deadLetterMessageCount: 1,
      scheduledMessageCount: 1,
      totalMessageCount: 4,
    });
  });
});

test('queues are listed page by page', async () => {
  const names = Array.from({ length: 7 }, (_, index) => `queue-${index}`);
  const { admin } = await startAdministration(Object.fromEntries(names.map((name) => [name, {}])));
  const pages: string[][] = [];
  for await (const page of admin.listQueues().byPage({ maxPageSize: 3 })) {
    pages.push(page.map(({ name }) => name));
  }
  expect(pages.map(({ length }) => length)).toEqual([3, 3, 1]);
  expect(pages.flat()).toEqual(names);
});

test('a connection string that names the administration port works too', async () => {
  const { bus, ca } = await startAdministration({ orders: {} });
  const connectionString = bus.connectionString('root').replace(`:${bus.port}`, `:${bus.adminPort}`);
  const admin = new ServiceBusAdministrationClient(connectionString, { tlsOptions: { ca } });
  expect((await admin.getNamespaceProperties()).messagingSku).toBe('Standard');
  expect(await admin.queueExists('orders')).toBe(true);
});

describe('what cannot be', () => {
  test('is refused with the reason and changes nothing', async () => {
    const { admin } = await startAdministration({ orders: {} });
    const refusals: [() => Promise<unknown>, number, string][] = [
      [() => admin.createQueue('orders'), 409, "The queue 'orders' exists already"],
      [() => admin.createQueue('with space'), 400, "a queue's name has 1 to 260 letters"],
      [() => admin.createQueue('long-lock', { lockDuration: 'PT6M' }), 400, 'LockDuration must be'],
      [() => admin.createQueue('zero', { maxDeliveryCount: 0 }), 400, 'MaxDeliveryCount must be'],
      [
        () => admin.createQueue('sessions', { requiresSession: true }),
        400,
        'not supported by the local Service Bus: RequiresSession',
      ],
      [
        () => admin.createQueue('idle', { autoDeleteOnIdle: 'PT5M' }),
        400,
        'not supported by the local Service Bus: AutoDeleteOnIdle',
      ],
      [() => admin.createTopic('topic'), 400, 'the local Service Bus has queues only'],
      [() => admin.getQueue('missing'), 404, "'missing' could not be found"],
      [() => admin.deleteQueue('missing'), 404, "'missing' could not be found"],
    ];
    for (const [act, statusCode, message] of refusals) {
      await expect(act()).rejects.toMatchObject({ statusCode, message: expect.stringContaining(message) });
    }
    const orders = await admin.getQueue('orders');
    await expect(admin.updateQueue({ ...orders, requiresDuplicateDetection: true })).rejects.toMatchObject({
      statusCode: 400,
    });
    const left: string[] = [];
    for await (const { name } of admin.listQueues()) left.push(name);
    expect(left).toEqual(['orders']);
  });
});
