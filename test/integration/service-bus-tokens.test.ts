import { describe, expect, test } from 'vitest';
import {
  connect,
  firstError,
  receiveOne,
  sasToken,
  startAdministration,
  startBus,
  tokenConnectionString,
} from './service-bus-fixture.ts';

const inAnHour = (): number => Date.now() + 3_600_000;
const unauthorized = { code: 'UnauthorizedAccess' };

async function startTwoQueues() {
  const bus = await startBus({ orders: {}, 'orders-old': {} });
  const withToken = (uri: string, ruleName: string, key: string, expiresAtMs = inAnHour()) =>
    connect(tokenConnectionString(bus.port, sasToken(uri, ruleName, key, expiresAtMs)));
  return { bus, withToken, uri: (path: string) => `sb://localhost:${bus.port}/${path}` };
}

describe('a rule', () => {
  test('with only Send sends and neither receives nor peeks', async () => {
    const { bus } = await startTwoQueues();
    const client = connect(bus.connectionString('sender'));
    await client.createSender('orders').sendMessages({ body: 1 });
    const receiver = client.createReceiver('orders');
    expect((await firstError(receiver)).error).toMatchObject({
      ...unauthorized,
      message: expect.stringContaining("'Listen' claim(s) are required"),
    });
    await expect(receiver.peekMessages(1)).rejects.toMatchObject(unauthorized);
  });

  test('with only Listen receives and neither sends nor schedules', async () => {
    const { bus } = await startTwoQueues();
    await connect(bus.connectionString('sender')).createSender('orders').sendMessages({ body: 'x' });
    const client = connect(bus.connectionString('listener'));
    expect((await receiveOne(client.createReceiver('orders'))).body).toBe('x');
    const sender = client.createSender('orders');
    await expect(sender.sendMessages({ body: 1 })).rejects.toThrow("'Send' claim(s) are required");
    await expect(sender.scheduleMessages({ body: 2 }, new Date(inAnHour()))).rejects.toMatchObject(
      unauthorized,
    );
  });

  test('with the wrong key, and one that does not exist, is refused', async () => {
    const { withToken, uri } = await startTwoQueues();
    for (const [name, key] of [
      ['sender', 'listener-key'],
      ['nobody', 'sender-key'],
    ] as const) {
      const sender = withToken(uri('orders'), name, key).createSender('orders');
      await expect(sender.sendMessages({ body: 1 })).rejects.toThrow('InvalidSignature');
    }
  });
});

describe('a token', () => {
  test('for one queue is good for that queue and what lies under it', async () => {
    const { withToken, uri } = await startTwoQueues();
    const client = withToken(uri('orders'), 'root', 'root-key');
    await client.createSender('orders').sendMessages({ body: 'in scope' });
    const receiver = client.createReceiver('orders');
    expect(await receiver.peekMessages(1)).toHaveLength(1);
    await receiver.deadLetterMessage(await receiveOne(receiver));
    const dead = client.createReceiver('orders', { subQueueType: 'deadLetter' });
    expect((await receiveOne(dead)).body).toBe('in scope');
  });

  test('for one queue is refused for another whose name merely begins alike', async () => {
    const { withToken, uri } = await startTwoQueues();
    const sender = withToken(uri('orders'), 'root', 'root-key').createSender('orders-old');
    await expect(sender.sendMessages({ body: 1 })).rejects.toThrow("does not cover 'sb://localhost");
  });

  test('for the namespace is good for every queue', async () => {
    const { withToken, uri } = await startTwoQueues();
    const client = withToken(uri(''), 'sender', 'sender-key');
    for (const queue of ['orders', 'orders-old']) {
      await expect(client.createSender(queue).sendMessages({ body: 1 })).resolves.toBeUndefined();
    }
  });

  test('for another namespace is refused', async () => {
    const { withToken } = await startTwoQueues();
    const sender = withToken('sb://contoso.servicebus.windows.net/orders', 'root', 'root-key').createSender(
      'orders',
    );
    await expect(sender.sendMessages({ body: 1 })).rejects.toThrow('not a resource of this namespace');
  });

  test('that is expired is refused', async () => {
    const { withToken, uri } = await startTwoQueues();
    const sender = withToken(uri('orders'), 'root', 'root-key', Date.now() - 1000).createSender('orders');
    await expect(sender.sendMessages({ body: 1 })).rejects.toThrow('ExpiredToken');
  });

  test('that expires while a link is open detaches the link', async () => {
    const { bus, withToken, uri } = await startTwoQueues();
    const expiresAtMs = Date.now() + 4000;
    const receiver = withToken(uri('orders'), 'listener', 'listener-key', expiresAtMs).createReceiver(
      'orders',
    );
    const received: unknown[] = [];
    const error = await new Promise<Error>((resolve) => {
      receiver.subscribe({
        processMessage: async ({ body }) => void received.push(body),
        processError: async (args) => resolve(args.error),
      });
      void connect(bus.connectionString('sender')).createSender('orders').sendMessages({ body: 'in time' });
    });
    expect(received).toEqual(['in time']);
    expect(error).toMatchObject({ ...unauthorized, message: expect.stringContaining('ExpiredToken') });
    expect(Date.now()).toBeGreaterThanOrEqual(Math.floor(expiresAtMs / 1000) * 1000);
  });
});

describe('the administration API', () => {
  test('takes the Manage right only', async () => {
    const { administer } = await startAdministration({ orders: {} });
    const refused = { statusCode: 401, code: 'UnauthorizedRequestError' };
    await expect(administer('sender', 'sender-key').createQueue('more')).rejects.toMatchObject(refused);
    await expect(administer('root', 'wrong').deleteQueue('orders')).rejects.toMatchObject(refused);
    expect(await administer('root', 'root-key').queueExists('orders')).toBe(true);
  });
});
