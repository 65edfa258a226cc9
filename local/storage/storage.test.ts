import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { TableClient } from '@azure/data-tables';
import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { connectionStringOf } from './account.ts';
import { Journal } from './journal.ts';
import { QueueClient } from './registers.ts';
import { gateResponses } from './response-gate.ts';
import { startStorage, type Storage } from './storage.ts';

let dataFolder: string;
beforeEach(() => {
  dataFolder = mkdtempSync(join(tmpdir(), 'secondsite-storage-'));
});
afterEach(() => rmSync(dataFolder, { recursive: true, force: true }));

async function withStorage<T>(use: (storage: Storage) => Promise<T>, ports?: Storage['ports']): Promise<T> {
  const storage = await startStorage({ dataFolder, ...(ports === undefined ? {} : { ports }) });
  try {
    return await use(storage);
  } finally {
    await storage.close();
  }
}

function containerOf(storage: Storage): ContainerClient {
  const service = BlobServiceClient.fromConnectionString(storage.connectionString, {
    retryOptions: { maxTries: 1 },
  });
  return service.getContainerClient('things');
}

function tableOf(storage: Storage): TableClient {
  return TableClient.fromConnectionString(storage.connectionString, 'Things', {
    allowInsecureConnection: true,
    retryOptions: { maxRetries: 0 },
  });
}

/** All that blob storage says of a container and its blobs, content included. */
async function describeBlobs(container: ContainerClient): Promise<unknown> {
  const {
    date: _date,
    requestId: _request,
    clientRequestId: _client,
    ...properties
  } = await container.getProperties();
  const blobs: [{ name: string; snapshot?: string }, unknown][] = [];
  const listed = container.listBlobsFlat({
    includeMetadata: true,
    includeSnapshots: true,
    includeTags: true,
    includeUncommitedBlobs: true,
  });
  for await (const blob of listed) {
    const committed = blob.properties.contentLength !== 0;
    const client = container.getBlobClient(blob.name);
    const at =
      blob.snapshot === undefined || blob.snapshot === '' ? client : client.withSnapshot(blob.snapshot);
    blobs.push([blob, committed ? (await at.downloadToBuffer()).toString('base64') : undefined]);
  }
  // Azurite lists a blob and its snapshots in any order.
  const order = ([blob]: (typeof blobs)[number]): string => `${blob.name} ${blob.snapshot ?? ''}`;
  blobs.sort((left, right) => (order(left) < order(right) ? -1 : 1));
  return {
    etag: properties.etag,
    lastModified: properties.lastModified,
    metadata: properties.metadata,
    blobs,
  };
}

async function list(storage: Storage): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const entity of tableOf(storage).listEntities()) values.push([entity.rowKey, entity['v']]);
  return values;
}

/** What tables and queues hold. */
async function read(storage: Storage): Promise<unknown> {
  const entities: unknown[] = [];
  for await (const { 'odata.metadata': _url, ...entity } of tableOf(storage).listEntities())
    entities.push(entity);
  const queue = new QueueClient(storage.connectionString);
  const { body } = await queue.send('GET', 'queue/messages?peekonly=true&numofmessages=32');
  const { headers } = await queue.send('HEAD', 'queue?comp=metadata');
  return { entities, body, metadata: headers.get('x-ms-meta-a') };
}

describe('storage', () => {
  test('says the same of every kind of blob after a restart', async () => {
    const before = await withStorage(async (storage) => {
      const container = containerOf(storage);
      await container.create({ metadata: { of: 'things' } });
      const block = container.getBlockBlobClient('block blob / ü');
      await block.upload('content', 7, { metadata: { a: 'b' }, tags: { t: 'u' }, tier: 'Cool' });
      await block.createSnapshot();
      await block.stageBlock('AAAA', 'staged', 6);
      await container.getBlockBlobClient('uncommitted').stageBlock('AAAA', 'staged', 6);
      const append = container.getAppendBlobClient('append blob');
      await append.create();
      await append.appendBlock('one', 3);
      await append.appendBlock('two', 3);
      const page = container.getPageBlobClient('page blob');
      await page.create(4096);
      await page.uploadPages(randomBytes(512), 1024, 512);
      await page.uploadPages(randomBytes(1024), 2048, 1024);
      await page.clearPages(2048, 512);
      await container.getBlobClient('append blob').getBlobLeaseClient().acquireLease(-1);
      return await describeBlobs(container);
    });
    const after = await withStorage(async (storage) => {
      const container = containerOf(storage);
      const described = await describeBlobs(container);
      await expect(container.getAppendBlobClient('append blob').appendBlock('x', 1)).rejects.toMatchObject({
        code: 'LeaseIdMissing',
      });
      const block = container.getBlockBlobClient('block blob / ü');
      const { etag } = await block.getProperties();
      await block.commitBlockList(['AAAA'], { conditions: { ifMatch: etag! } });
      expect((await block.downloadToBuffer()).toString()).toBe('staged');
      return described;
    });
    expect(after).toEqual(before);
  });

  test('says the same of tables, entities and queues after a restart', async () => {
    const before = await withStorage(async (storage) => {
      const table = tableOf(storage);
      await table.createTable();
      const entity = { partitionKey: 'p', rowKey: 'r', text: 'ü', bytes: randomBytes(100), big: 2n ** 60n };
      await table.createEntity({ ...entity, at: new Date(0), number: 1.5, flag: true });
      await table.upsertEntity({ partitionKey: 'p', rowKey: 'r', more: 1 }, 'Merge');
      await table.createEntity({ partitionKey: 'p', rowKey: 'gone' });
      await table.deleteEntity('p', 'gone');
      const queue = new QueueClient(storage.connectionString);
      await queue.send('PUT', 'queue');
      for (const text of ['one', 'two', 'three']) await queue.send('POST', 'queue/messages', text);
      return await read(storage);
    });
    expect(await withStorage(read)).toEqual(before);
  });

  test('forgets a deleted table, and fills one of the same name anew', async () => {
    await withStorage(async (storage) => {
      const table = tableOf(storage);
      await table.createTable();
      await table.createEntity({ partitionKey: 'p', rowKey: 'old' });
      await table.deleteTable();
      await table.createTable();
      await table.createEntity({ partitionKey: 'p', rowKey: 'new', v: 3 });
    });
    expect(await withStorage(list)).toEqual([['new', 3]]);
    await withStorage((storage) => tableOf(storage).deleteTable());
    await expect(withStorage(list)).rejects.toMatchObject({ statusCode: 404 });
  });

  test('rolls a refused transaction back for good', async () => {
    await withStorage(async (storage) => {
      const table = tableOf(storage);
      await table.createTable();
      await table.createEntity({ partitionKey: 'p', rowKey: 'a', v: 1 });
      const refused = table.submitTransaction([
        ['upsert', { partitionKey: 'p', rowKey: 'a', v: 2 }, 'Replace'],
        ['create', { partitionKey: 'p', rowKey: 'b', v: 2 }],
        ['delete', { partitionKey: 'p', rowKey: 'missing' }],
      ]);
      await expect(refused).rejects.toMatchObject({ statusCode: 404 });
      expect(await list(storage)).toEqual([['a', 1]]);
    });
    expect(await withStorage(list)).toEqual([['a', 1]]);
  });

  test('takes its own account key only, the same at every start and readable by the owner only', async () => {
    const first = await withStorage((storage) => Promise.resolve(storage));
    expect(statSync(join(dataFolder, 'account.json')).mode & 0o777).toBe(0o600);
    await withStorage(async (storage) => {
      expect(storage).toMatchObject({ ports: first.ports, connectionString: first.connectionString });
      const key = randomBytes(64).toString('base64');
      const foreign = connectionStringOf({ name: 'secondsitelocal', key }, storage.ports);
      const container = containerOf({ ...storage, connectionString: foreign });
      await expect(container.create()).rejects.toMatchObject({ statusCode: 403 });
    }, first.ports);
  });

  test('runs several accounts in one process', async () => {
    const other = join(dataFolder, 'other');
    const second = await startStorage({ dataFolder: other });
    await withStorage(async (first) => {
      await containerOf(first).create();
      await expect(containerOf(second).getProperties()).rejects.toMatchObject({ statusCode: 404 });
      const mixed = {
        ...second,
        connectionString: first.connectionString.replaceAll(
          `:${first.ports.blob}/`,
          `:${second.ports.blob}/`,
        ),
      };
      await expect(containerOf(mixed).create()).rejects.toMatchObject({ statusCode: 403 });
    });
    await second.close();
  });

  test('keeps nothing when it is in memory', async () => {
    const storage = await startStorage({ dataFolder, inMemory: true });
    await containerOf(storage).create();
    await storage.close();
    expect(existsSync(join(dataFolder, 'journal.sqlite'))).toBe(false);
  });

  test('removes content that was being written when it was killed', async () => {
    await withStorage(async (storage) => {
      await containerOf(storage).create();
      await containerOf(storage).getBlockBlobClient('whole').upload('whole', 5);
    });
    const torn = join(dataFolder, 'blobs', '0c6ef0a0-0000-4000-8000-000000000000');
    writeFileSync(torn, 'half of someth');
    await withStorage(async (storage) => {
      expect(existsSync(torn)).toBe(false);
      const content = await containerOf(storage).getBlockBlobClient('whole').downloadToBuffer();
      expect(content.toString()).toBe('whole');
    });
  });

  test('is refused a data folder that another storage holds', async () => {
    await withStorage(async () => {
      await expect(startStorage({ dataFolder })).rejects.toThrow(
        `${join(dataFolder, 'journal.sqlite')} is held by another storage process`,
      );
    });
  });

  test('says which file is damaged, and leaves it', async () => {
    writeFileSync(
      join(dataFolder, 'journal.sqlite'),
      'not a database, but long enough to be taken for one'.repeat(100),
    );
    const before = readFileSync(join(dataFolder, 'journal.sqlite'));
    await expect(startStorage({ dataFolder })).rejects.toThrow(
      'journal.sqlite cannot be opened as a storage journal',
    );
    expect(readFileSync(join(dataFolder, 'journal.sqlite'))).toEqual(before);
  });
});

describe('a journal that cannot be written', () => {
  test('fails every commit from then on and says so once', () => {
    const failures: Error[] = [];
    const journal = new Journal(dataFolder, (error) => failures.push(error));
    const collection = journal.addCollection('database', 'collection', {});
    journal.commit();
    const unwritable = { $loki: 1, value: () => 'functions cannot be serialized' };
    journal.put(collection, unwritable);
    expect(() => journal.commit()).toThrow('storage takes no more requests');
    journal.put(collection, { $loki: 2 });
    expect(() => journal.commit()).toThrow('storage takes no more requests');
    expect(failures).toHaveLength(1);
  });

  test('cuts the connection instead of acknowledging', async () => {
    let writable = true;
    const server = createServer((_request, response) => response.end('done'));
    gateResponses(server, () => {
      if (!writable) throw new Error('disk full');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    expect(await (await fetch(url)).text()).toBe('done');
    writable = false;
    await expect(fetch(url)).rejects.toThrow('fetch failed');
    await new Promise((resolve) => server.close(resolve));
  });
});
