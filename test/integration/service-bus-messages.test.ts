import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import { describe, expect, test } from 'vitest';
import { connect, receiveOne, startBus, startQueue, temporaryFolder } from './service-bus-fixture.ts';

describe('peek-lock', () => {
  test('hands a message over with its body, properties and the broker’s annotations', async () => {
    const { sender, receiver } = await startQueue();
    const sent = {
      body: { text: 'grüße', list: [1, 2.5, null] },
      messageId: 'm-1',
      correlationId: 'c-1',
      subject: 'greeting',
      contentType: 'application/json',
      applicationProperties: { count: 3, on: true, name: 'x' },
    };
    await sender.sendMessages(sent);
    const message = await receiveOne(receiver);
    expect(message).toMatchObject(sent);
    expect(message.deliveryCount).toBe(0);
    expect(message.sequenceNumber?.toNumber()).toBe(1);
    expect(message.enqueuedTimeUtc).toBeInstanceOf(Date);
    expect(message.lockedUntilUtc?.getTime()).toBeGreaterThan(Date.now());
    await receiver.completeMessage(message);
    expect(await receiver.peekMessages(1)).toEqual([]);
  });

  test('gives a message without an id one, so that it can be settled', async () => {
    const { sender, receiver } = await startQueue();
    await sender.sendMessages({ body: 'no id' });
    const message = await receiveOne(receiver);
    expect(message.messageId).toMatch(/^[0-9a-f]{32}$/);
    await receiver.completeMessage(message);
  });

  test('delivers an abandoned message again, counted and with its changed properties', async () => {
    const { sender, receiver } = await startQueue();
    await sender.sendMessages({ body: 'again', applicationProperties: { kept: 1, changed: 'before' } });
    await receiver.abandonMessage(await receiveOne(receiver), { changed: 'after', added: true });
    const message = await receiveOne(receiver);
    expect(message.deliveryCount).toBe(1);
    expect(message.body).toBe('again');
    expect(message.applicationProperties).toEqual({ kept: 1, changed: 'after', added: true });
  });

  test('keeps the order of messages whatever is abandoned between', async () => {
    const { sender, receiver } = await startQueue();
    await sender.sendMessages([1, 2, 3, 4, 5].map((body) => ({ body })));
    const first = await receiver.receiveMessages(3);
    await receiver.completeMessage(first[1]!);
    await receiver.abandonMessage(first[2]!);
    await receiver.abandonMessage(first[0]!);
    const rest: unknown[] = [];
    while (rest.length < 4) rest.push((await receiveOne(receiver)).body);
    expect(rest).toEqual([1, 3, 4, 5]);
  });

  test('does not give a locked message to another receiver, and does once the lock has expired', async () => {
    const { client, sender } = await startQueue({ LockDuration: 'PT5S' });
    await sender.sendMessages({ body: 'mine' });
    const receiver = client.createReceiver('orders', { maxAutoLockRenewalDurationInMs: 0 });
    const held = await receiveOne(receiver);
    const other = client.createReceiver('orders');
    const message = await receiveOne(other);
    expect(Date.now()).toBeGreaterThanOrEqual(held.lockedUntilUtc!.getTime());
    expect(message.deliveryCount).toBe(1);
    await expect(receiver.completeMessage(held)).rejects.toMatchObject({ code: 'MessageLockLost' });
    await other.completeMessage(message);
  });

  test('renews a lock, and refuses to once it is lost', async () => {
    const { sender, receiver } = await startQueue();
    await sender.sendMessages({ body: 'mine' });
    const message = await receiveOne(receiver);
    const before = message.lockedUntilUtc!.getTime();
    const until = await receiver.renewMessageLock(message);
    expect(until.getTime()).toBeGreaterThanOrEqual(before);
    await receiver.completeMessage(message);
    await expect(receiver.renewMessageLock(message)).rejects.toMatchObject({ code: 'MessageLockLost' });
  });

  test('settles by lock token what a closed receiver still holds', async () => {
    const { client, sender, receiver } = await startQueue();
    await sender.sendMessages([{ body: 'a' }, { body: 'b' }, { body: 'c' }]);
    const [a, b, c] = await receiver.receiveMessages(3);
    await receiver.close();
    const other = client.createReceiver('orders');
    await other.completeMessage(a!);
    await other.abandonMessage(b!);
    await other.deadLetterMessage(c!, { deadLetterReason: 'late', deadLetterErrorDescription: '' });
    expect((await receiveOne(other)).body).toBe('b');
    const dead = await receiveOne(client.createReceiver('orders', { subQueueType: 'deadLetter' }));
    expect([dead.body, dead.deadLetterReason]).toEqual(['c', 'late']);
  });

  test('refuses to defer, by name', async () => {
    const { sender, receiver } = await startQueue();
    await sender.sendMessages({ body: 'later' });
    const message = await receiveOne(receiver);
    await expect(receiver.deferMessage(message)).rejects.toThrow(
      'not supported by the local Service Bus: deferring messages',
    );
  });

  test('hands everything out once when several subscriptions share a queue', async () => {
    const { client, sender } = await startQueue();
    const bodies = Array.from({ length: 300 }, (_, index) => index);
    const seen: number[] = [];
    const all = new Promise<void>((resolve) => {
      for (let index = 0; index < 3; index++) {
        client.createReceiver('orders').subscribe(
          {
            processMessage: async ({ body }) => {
              seen.push(body as number);
              if (seen.length === bodies.length) resolve();
            },
            processError: async ({ error }) => {
              throw error;
            },
          },
          { maxConcurrentCalls: 4 },
        );
      }
    });
    await sender.sendMessages(bodies.map((body) => ({ body })));
    await all;
    expect(seen.sort((left, right) => left - right)).toEqual(bodies);
  });
});

test('a receiver that holds all that its window takes goes on as it settles', async () => {
  const { sender, receiver } = await startQueue();
  const count = 2300;
  for (let sent = 0; sent < count; sent += 100) {
    await sender.sendMessages(Array.from({ length: 100 }, (_, index) => ({ body: sent + index })));
  }
  const held: ServiceBusReceivedMessage[] = [];
  const arrival = (length: number) =>
    new Promise<void>((resolve) => {
      const look = () => (held.length >= length ? resolve() : setImmediate(look));
      look();
    });
  receiver.subscribe(
    {
      // Held by never coming back: what a handler that waits for something else does.
      processMessage: (message) => new Promise(() => held.push(message)),
      processError: async () => undefined,
    },
    { autoCompleteMessages: false, maxConcurrentCalls: count },
  );
  await arrival(2048);
  for (const message of held.slice(0, count - 2048)) await receiver.completeMessage(message);
  await arrival(count);
  expect(held.map(({ body }) => body as number)).toEqual([...Array(count).keys()]);
});

describe('receive and delete', () => {
  test('removes a message as it is handed out', async () => {
    const { client, sender } = await startQueue();
    await sender.sendMessages([{ body: 1 }, { body: 2 }]);
    const receiver = client.createReceiver('orders', { receiveMode: 'receiveAndDelete' });
    const bodies = [(await receiveOne(receiver)).body, (await receiveOne(receiver)).body];
    expect(bodies).toEqual([1, 2]);
    expect(await receiver.peekMessages(1)).toEqual([]);
  });
});

describe('dead letters', () => {
  test('come from a receiver with reason, description and properties', async () => {
    const { client, sender, receiver } = await startQueue();
    await sender.sendMessages({ body: 'bad', applicationProperties: { kept: 'yes' } });
    const options = { deadLetterReason: 'broken', deadLetterErrorDescription: 'cannot be read', shift: 2 };
    await receiver.deadLetterMessage(await receiveOne(receiver), options);
    const dead = client.createReceiver('orders', { subQueueType: 'deadLetter' });
    const message = await receiveOne(dead);
    expect(message).toMatchObject({
      body: 'bad',
      deadLetterReason: 'broken',
      deadLetterErrorDescription: 'cannot be read',
      applicationProperties: { kept: 'yes', shift: 2 },
    });
    await dead.abandonMessage(message);
    const again = await receiveOne(dead);
    expect(again.deliveryCount).toBe(0);
    await dead.completeMessage(again);
  });

  test('come from too many failed deliveries', async () => {
    const { client, sender, receiver } = await startQueue({ MaxDeliveryCount: '3' });
    await sender.sendMessages({ body: 'poison' });
    for (const count of [0, 1, 2]) {
      const message = await receiveOne(receiver);
      expect(message.deliveryCount).toBe(count);
      await receiver.abandonMessage(message);
    }
    const dead = await receiveOne(client.createReceiver('orders', { subQueueType: 'deadLetter' }));
    expect(dead).toMatchObject({ body: 'poison', deadLetterReason: 'MaxDeliveryCountExceeded' });
  });

  test('come from an expired time to live where the queue says so', async () => {
    const { client, sender } = await startQueue({ DeadLetteringOnMessageExpiration: 'true' });
    await sender.sendMessages({ body: 'old', timeToLive: 50 });
    const dead = await receiveOne(client.createReceiver('orders', { subQueueType: 'deadLetter' }));
    expect(dead).toMatchObject({ body: 'old', deadLetterReason: 'TTLExpiredException' });
  });
});

describe('time', () => {
  test('an expired message is not delivered', async () => {
    const { sender, receiver } = await startQueue({ DefaultMessageTimeToLive: 'PT1S' });
    await sender.sendMessages([{ body: 'short', timeToLive: 1 }]);
    await sender.sendMessages([{ body: 'later', scheduledEnqueueTimeUtc: new Date(Date.now() + 200) }]);
    expect((await receiveOne(receiver)).body).toBe('later');
  });

  test('a scheduled message comes at its time, under a new sequence number', async () => {
    const { sender, receiver } = await startQueue();
    const atMs = Date.now() + 700;
    const [sequence] = await sender.scheduleMessages([{ body: 'later' }], new Date(atMs));
    const [peeked] = await receiver.peekMessages(1);
    expect([peeked?.body, peeked?.state, peeked?.sequenceNumber]).toEqual(['later', 'scheduled', sequence]);
    const message = await receiveOne(receiver);
    expect(Date.now()).toBeGreaterThanOrEqual(atMs);
    expect(message.state).toBe('active');
    expect(message.sequenceNumber?.greaterThan(sequence!)).toBe(true);
    expect(message.scheduledEnqueueTimeUtc?.getTime()).toBe(atMs);
  });

  test('scheduled messages are cancelled all or none', async () => {
    const { sender, receiver } = await startQueue();
    const at = new Date(Date.now() + 3_600_000);
    const [one, two] = await sender.scheduleMessages([{ body: 1 }, { body: 2 }], at);
    await expect(sender.cancelScheduledMessages([one!, two!.add(1000)])).rejects.toMatchObject({
      code: 'MessageNotFound',
    });
    await sender.cancelScheduledMessages(one!);
    expect((await receiver.peekMessages(10)).map(({ body }) => body)).toEqual([2]);
  });
});

describe('sending', () => {
  test('takes a batch built to the advertised limit', async () => {
    const { sender, receiver } = await startQueue();
    const batch = await sender.createMessageBatch();
    expect(batch.maxSizeInBytes).toBe(256 * 1024);
    while (batch.tryAddMessage({ body: 'x'.repeat(1000) }));
    await sender.sendMessages(batch);
    const received: ServiceBusReceivedMessage[] = [];
    while (received.length < batch.count) received.push(...(await receiver.receiveMessages(batch.count)));
    expect(received).toHaveLength(batch.count);
  });

  test('refuses a message over the limit and goes on with the same link', async () => {
    const { sender, receiver } = await startQueue();
    await expect(sender.sendMessages({ body: 'x'.repeat(300_000) })).rejects.toMatchObject({
      code: 'MessageSizeExceeded',
    });
    await sender.sendMessages({ body: 'small' });
    expect((await receiveOne(receiver)).body).toBe('small');
  });

  test('refuses what would make the queue larger than its limit, and takes it once there is room', async () => {
    const { sender, receiver } = await startQueue({ MaxSizeInMegabytes: '1' });
    const body = 'x'.repeat(200_000);
    for (let count = 0; count < 5; count++) await sender.sendMessages({ body });
    await expect(sender.sendMessages({ body })).rejects.toMatchObject({ code: 'QuotaExceeded' });
    await receiver.completeMessage(await receiveOne(receiver));
    await sender.sendMessages({ body });
  });

  test('drops a duplicate within the window, in a batch and after a restart too', async () => {
    const dataFolder = temporaryFolder();
    const settings = { RequiresDuplicateDetection: 'true', DuplicateDetectionHistoryTimeWindow: 'PT1M' };
    const send = async () => {
      const bus = await startBus({ orders: settings }, { dataFolder });
      const client = connect(bus.connectionString('root'));
      const messages = ['a', 'b', 'a'].map((messageId) => ({ body: messageId, messageId }));
      await client.createSender('orders').sendMessages(messages);
      const bodies = (await client.createReceiver('orders').peekMessages(10)).map(
        ({ body }) => body as string,
      );
      await client.close();
      await bus.close();
      return bodies;
    };
    expect(await send()).toEqual(['a', 'b']);
    expect(await send()).toEqual(['a', 'b']);
  });

  test('says which entity is missing', async () => {
    const { client } = await startQueue();
    await expect(client.createSender('invoices').sendMessages({ body: 1 })).rejects.toMatchObject({
      code: 'MessagingEntityNotFound',
      message: expect.stringContaining('invoices'),
    });
  });
});

describe('what the local Service Bus does not have', () => {
  test('sessions and topics are refused when a link is attached', async () => {
    const { client } = await startQueue();
    await expect(client.acceptSession('orders', 'one')).rejects.toThrow('session');
    const subscription = client.createReceiver('topic', 'subscription');
    await expect(subscription.receiveMessages(1)).rejects.toThrow('not supported by the local Service Bus');
  });
});

test('peeking pages through a queue and keeps the content of what is not in memory', async () => {
  const dataFolder = temporaryFolder();
  const first = await startBus({ orders: {} }, { dataFolder });
  const client = connect(first.connectionString('root'));
  await client.createSender('orders').sendMessages([...Array(120).keys()].map((body) => ({ body })));
  await client.close();
  await first.close();
  const second = await startBus({}, { dataFolder });
  const receiver = connect(second.connectionString('root')).createReceiver('orders');
  const bodies: unknown[] = [];
  while (bodies.length < 120)
    bodies.push(...(await receiver.peekMessages(50)).map(({ body }) => body as number));
  expect(bodies).toEqual([...Array(120).keys()]);
});

test('a second broker on the same folder is refused', async () => {
  const dataFolder = temporaryFolder();
  await startBus({}, { dataFolder });
  await expect(startBus({}, { dataFolder })).rejects.toThrow('is another local platform using it?');
});
