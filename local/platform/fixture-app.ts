import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Writes a small function app into a folder: real enough to run on any Functions host. */
export function writeFixtureApp(folder: string): void {
  mkdirSync(folder, { recursive: true });
  symlinkSync(resolve(import.meta.dirname, '..', '..', 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'fixture', type: 'module', main: 'index.js' }),
  );
  writeFileSync(
    join(folder, 'host.json'),
    JSON.stringify({ version: '2.0', extensions: { http: { routePrefix: '' } } }),
  );
  writeFileSync(join(folder, 'index.js'), SOURCE);
}

const SOURCE = `
import { app } from '@azure/functions';
import { TableClient } from '@azure/data-tables';
import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus';
import { DefaultAzureCredential } from '@azure/identity';
import { StorageManagementClient } from '@azure/arm-storage';

const table = TableClient.fromConnectionString(process.env.STATE_STORAGE, 'Fixture', { allowInsecureConnection: true });

app.http('setting', { methods: ['GET'], route: 'setting/{name}', authLevel: 'anonymous',
  handler: (request) => ({ jsonBody: { value: process.env[request.params.name], pid: process.pid } }) });

app.http('send', { methods: ['POST'], route: 'send/{text}', authLevel: 'anonymous', handler: async (request) => {
  const client = new ServiceBusClient(process.env.SERVICE_BUS);
  await client.createSender('agent-checkins').sendMessages({ body: { text: request.params.text } });
  await client.close();
  return { status: 202 };
} });

app.serviceBusQueue('received', { connection: 'SERVICE_BUS', queueName: 'agent-checkins', handler: async (message) => {
  await table.createTable();
  await table.upsertEntity({ partitionKey: 'received', rowKey: message.text });
} });

app.http('received-list', { methods: ['GET'], route: 'received', authLevel: 'anonymous', handler: async () => {
  await table.createTable();
  const texts = [];
  for await (const entity of table.listEntities()) texts.push(entity.rowKey);
  return { jsonBody: texts };
} });

app.http('target', { methods: ['GET'], route: 'target/{subscriptionId}', authLevel: 'anonymous', handler: async (request) => {
  const client = new StorageManagementClient(new DefaultAzureCredential(), request.params.subscriptionId,
    { endpoint: process.env.TARGET_RESOURCE_MANAGER });
  const names = [];
  for await (const account of client.storageAccounts.list()) names.push(account.name);
  return { jsonBody: names };
} });

app.http('queue', { methods: ['PUT'], route: 'queue/{name}', authLevel: 'anonymous', handler: async (request) => {
  const client = new ServiceBusAdministrationClient(process.env.SERVICE_BUS);
  return { jsonBody: { exists: await client.queueExists(request.params.name) } };
} });
`;
