import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AzureNamedKeyCredential } from '@azure/core-auth';
import {
  type ProcessErrorArgs,
  ServiceBusAdministrationClient,
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
} from '@azure/service-bus';
import { onTestFinished } from 'vitest';
import { type RunningServiceBus, startServiceBus } from '../../local/service-bus/broker.ts';
import type { ServiceBusOptions } from '../../local/service-bus/options.ts';
import { createAuthority, issueCertificate } from '../../shared/certificate.ts';

export const rules = [
  { name: 'root', key: 'root-key', rights: ['Manage', 'Send', 'Listen'] },
  { name: 'sender', key: 'sender-key', rights: ['Send'] },
  { name: 'listener', key: 'listener-key', rights: ['Listen'] },
] satisfies ServiceBusOptions['rules'];

type QueueSettings = Record<string, Record<string, string>>;

/** A folder that is removed when the test is over. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'secondsite-service-bus-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A running Service Bus with these queues, stopped when the test is over. */
export async function startBus(
  queues: QueueSettings,
  more: Partial<ServiceBusOptions> = {},
): Promise<RunningServiceBus> {
  const bus = await startServiceBus({
    dataFolder: more.dataFolder ?? temporaryFolder(),
    rules,
    queues: Object.entries(queues).map(([name, settings]) => ({ name, settings })),
    ...more,
  });
  onTestFinished(() => bus.close());
  return bus;
}

/** A client that does not retry, closed when the test is over. */
export function connect(connectionString: string): ServiceBusClient {
  const client = new ServiceBusClient(connectionString, {
    retryOptions: { maxRetries: 0, timeoutInMs: 10_000 },
  });
  onTestFinished(() => client.close());
  return client;
}

/** A Service Bus with one queue, and a client of it with all rights. */
export async function startQueue(settings: Record<string, string> = {}) {
  const bus = await startBus({ orders: settings });
  const client = connect(bus.connectionString('root'));
  const receiver = client.createReceiver('orders');
  return { bus, client, sender: client.createSender('orders'), receiver };
}

/** The next message, however long it takes within the test's time. */
export async function receiveOne(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 50_000 });
  if (message === undefined) throw new Error('No message came.');
  return message;
}

/** The first error that a subscription reports. */
export function firstError(receiver: ServiceBusReceiver): Promise<ProcessErrorArgs> {
  return new Promise((resolve) => {
    receiver.subscribe({
      processMessage: async () => undefined,
      processError: async (error) => resolve(error),
    });
  });
}

/** A shared access signature for a URI, made as Azure's documentation shows it. */
export function sasToken(uri: string, ruleName: string, key: string, expiresAtMs: number): string {
  const resource = encodeURIComponent(uri);
  const expiry = Math.floor(expiresAtMs / 1000);
  const signature = createHmac('sha256', key).update(`${resource}\n${expiry}`).digest('base64');
  return `SharedAccessSignature sr=${resource}&sig=${encodeURIComponent(signature)}&se=${expiry}&skn=${ruleName}`;
}

/** A connection string that carries a token instead of a key. */
export function tokenConnectionString(port: number, token: string): string {
  return `Endpoint=sb://localhost:${port};SharedAccessSignature=${token};UseDevelopmentEmulator=true;`;
}

/** A Service Bus whose administration API is served, and clients of that API. */
export async function startAdministration(queues: QueueSettings = {}) {
  const authority = await createAuthority({ commonName: 'Test', days: 1, nowMs: Date.now() });
  const { certificatePem, privateKeyPem } = await issueCertificate(authority, {
    commonName: 'localhost',
    usage: 'server',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    days: 1,
    nowMs: Date.now(),
  });
  const bus = await startBus(queues, { tls: { key: privateKeyPem, cert: certificatePem } });
  const ca = authority.certificatePem;
  const administer = (ruleName: string, key: string) =>
    new ServiceBusAdministrationClient(
      `localhost:${bus.adminPort}`,
      new AzureNamedKeyCredential(ruleName, key),
      { tlsOptions: { ca }, retryOptions: { maxRetries: 0 } },
    );
  return { bus, ca, administer, admin: administer('root', 'root-key') };
}
