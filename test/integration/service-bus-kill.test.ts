import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { ServiceBusClient } from '@azure/service-bus';
import { expect, onTestFinished, test } from 'vitest';
import { rules, temporaryFolder } from './service-bus-fixture.ts';

const MAIN = new URL('../../local/service-bus/main.ts', import.meta.url).pathname;
const ROUNDS = 6;

interface RunningBroker {
  process: ChildProcess;
  client: ServiceBusClient;
}

type Launch = (env: NodeJS.ProcessEnv) => ChildProcess;

const spawned: Launch = (env) =>
  spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'inherit'] });
const forked: Launch = (env) => fork(MAIN, { env, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
/** A process that cannot write files larger than about a megabyte: a disk that is soon full. */
const shortOfDisk: Launch = (env) => {
  const script = `trap '' XFSZ; ulimit -f 2000; exec "${process.execPath}" "${MAIN}"`;
  return spawn('sh', ['-c', script], { env, stdio: ['ignore', 'pipe', 'pipe'] });
};

async function startBroker(dataFolder: string, launch: Launch = spawned): Promise<RunningBroker> {
  const options = JSON.stringify({ dataFolder, rules, queues: [{ name: 'orders' }] });
  const child = launch({ ...process.env, SERVICE_BUS_OPTIONS: options });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  const { port } = JSON.parse(line) as { port: number };
  const connectionString = `Endpoint=sb://localhost:${port};SharedAccessKeyName=root;SharedAccessKey=root-key;UseDevelopmentEmulator=true;`;
  const client = new ServiceBusClient(connectionString, {
    retryOptions: { maxRetries: 0, timeoutInMs: 5000 },
  });
  return { process: child, client };
}

/** What the clients asked for and were told, over all rounds. */
class Ledger {
  readonly sent = new Set<string>();
  /** A completion that was asked for may have been done although nobody was told. */
  readonly askedToComplete = new Set<string>();
  readonly completed = new Set<string>();
  /** Messages that were received although their completion had been acknowledged. */
  readonly cameBack: string[] = [];
  #next = 0;

  nextIds(count: number): string[] {
    return Array.from({ length: count }, () => `message-${this.#next++}`);
  }
}

/** Sends and receives until the broker is killed, which happens after a random number of acknowledgements. */
async function runRound(broker: RunningBroker, ledger: Ledger): Promise<void> {
  const { client } = broker;
  const exited = once(broker.process, 'exit');
  let left = randomInt(20, 400);
  const acknowledged = (ids: string[], where: Set<string>): void => {
    for (const id of ids) where.add(id);
    left -= 1;
    if (left === 0) broker.process.kill('SIGKILL');
  };
  let isRunning = true;
  const send = async (batchSize: number): Promise<void> => {
    const sender = client.createSender('orders');
    while (isRunning) {
      const ids = ledger.nextIds(batchSize);
      await sender.sendMessages(ids.map((messageId) => ({ messageId, body: 'x'.repeat(500) })));
      acknowledged(ids, ledger.sent);
    }
  };
  const receiver = client.createReceiver('orders', { maxAutoLockRenewalDurationInMs: 0 });
  receiver.subscribe(
    {
      processMessage: async (message) => {
        const id = String(message.messageId);
        if (ledger.completed.has(id)) ledger.cameBack.push(id);
        ledger.askedToComplete.add(id);
        await receiver.completeMessage(message);
        acknowledged([id], ledger.completed);
      },
      processError: async () => undefined,
    },
    { autoCompleteMessages: false, maxConcurrentCalls: 8 },
  );
  void Promise.allSettled([send(1), send(1), send(10)]);
  await exited;
  isRunning = false;
  abandonClient(client);
}

/** Closing a client whose broker is gone takes until its requests time out; nothing waits for that. */
function abandonClient(client: ServiceBusClient): void {
  client.close().catch(() => undefined);
}

async function drain(client: ServiceBusClient): Promise<Set<string>> {
  const receiver = client.createReceiver('orders', { receiveMode: 'receiveAndDelete' });
  const ids = new Set<string>();
  while ((await receiver.peekMessages(1)).length > 0) {
    for (const { messageId } of await receiver.receiveMessages(500, { maxWaitTimeInMs: 5000 })) {
      ids.add(String(messageId));
    }
  }
  await client.close();
  return ids;
}

test('no acknowledged message is lost and no completed one comes back, whenever the broker is killed', async () => {
  const dataFolder = temporaryFolder();
  const ledger = new Ledger();
  for (let round = 0; round < ROUNDS; round++) await runRound(await startBroker(dataFolder), ledger);
  const left = await drain((await startBroker(dataFolder)).client);
  const lost = [...ledger.sent].filter((id) => !ledger.askedToComplete.has(id) && !left.has(id));
  const back = [...ledger.completed].filter((id) => left.has(id));
  expect(ledger.sent.size).toBeGreaterThan(ROUNDS * 10);
  expect(ledger.completed.size).toBeGreaterThan(0);
  expect({ lost, back, cameBack: ledger.cameBack }).toEqual({ lost: [], back: [], cameBack: [] });
});

test('scheduled messages, dead letters and delivery counts survive a kill', async () => {
  const dataFolder = temporaryFolder();
  const first = await startBroker(dataFolder);
  const sender = first.client.createSender('orders');
  await sender.sendMessages([{ body: 'counted' }, { body: 'dead' }]);
  await sender.scheduleMessages({ body: 'scheduled' }, new Date(Date.now() + 3_600_000));
  const receiver = first.client.createReceiver('orders');
  const [counted, dead] = await receiver.receiveMessages(2);
  await receiver.deadLetterMessage(dead!, { deadLetterReason: 'why', deadLetterErrorDescription: 'because' });
  await receiver.abandonMessage(counted!);
  first.process.kill('SIGKILL');
  await once(first.process, 'exit');
  abandonClient(first.client);
  const { client } = await startBroker(dataFolder);
  const peeked = await client.createReceiver('orders').peekMessages(5);
  expect(peeked.map(({ body, state, deliveryCount }) => [body, state, deliveryCount])).toEqual([
    ['counted', 'active', 1],
    ['scheduled', 'scheduled', 0],
  ]);
  const [letter] = await client.createReceiver('orders', { subQueueType: 'deadLetter' }).peekMessages(5);
  expect(letter).toMatchObject({ body: 'dead', deadLetterReason: 'why' });
  await client.close();
});

test('a full disk stops the broker with the reason, and nothing acknowledged is lost', async () => {
  const dataFolder = temporaryFolder();
  const broker = await startBroker(dataFolder, shortOfDisk);
  const said: string[] = [];
  broker.process.stderr?.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  const closed = once(broker.process, 'close');
  const sender = broker.client.createSender('orders');
  const sent: string[] = [];
  const sending = (async () => {
    for (let index = 0; ; index++) {
      await sender.sendMessages({ messageId: `message-${index}`, body: 'x'.repeat(50_000) });
      sent.push(`message-${index}`);
    }
  })();
  sending.catch(() => undefined);
  expect((await closed)[0]).toBe(1);
  abandonClient(broker.client);
  expect(said.join('')).toContain('check the disk’s free space, then start again');
  const left = await drain((await startBroker(dataFolder)).client);
  expect(sent.length).toBeGreaterThan(0);
  expect(sent.filter((id) => !left.has(id))).toEqual([]);
});

test('the process ends cleanly on SIGTERM and when its parent’s IPC channel closes', async () => {
  const child = await startBroker(temporaryFolder());
  child.process.kill('SIGTERM');
  expect(await once(child.process, 'exit')).toEqual([0, null]);
  const ofParent = await startBroker(temporaryFolder(), forked);
  ofParent.process.disconnect();
  expect(await once(ofParent.process, 'exit')).toEqual([0, null]);
});

test('the process says what is wrong with its options', async () => {
  const env = {
    ...process.env,
    SERVICE_BUS_OPTIONS: '{"dataFolder":"x","rules":[{"name":"r","key":"secret"}]}',
  };
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const said: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => said.push(chunk.toString()));
  expect((await once(child, 'close'))[0]).toBe(1);
  expect(said.join('')).toContain('The options of the local Service Bus are not valid: rules.0.rights');
  expect(said.join('')).not.toContain('secret');
});
