import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ContainerClient, ContainerSASPermissions } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import { BlobReplicaStore } from '../../shared/replica/blob-replica-store.ts';
import { FolderReplicaStore } from '../../shared/replica/folder-replica-store.ts';
import type { ReplicaStore } from '../../shared/replica/replica-store.ts';
import { MemoryReplicaStore } from '../replica/memory.ts';

let folder: string;
let storage: Storage;
let containers = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'secondsite-replica-store-'));
  storage = await startStorage({ dataFolder: folder, inMemory: true });
});

afterAll(async () => {
  await storage.close();
  await rm(folder, { recursive: true, force: true });
});

async function newContainer(): Promise<ContainerClient> {
  const container = new ContainerClient(storage.connectionString, `item-${(containers += 1)}`);
  await container.create();
  return container;
}

async function grantFor(container: ContainerClient, permissions: string): Promise<BlobReplicaStore> {
  const expiresOn = new Date(Date.now() + 600_000);
  const url = await container.generateSasUrl({
    permissions: ContainerSASPermissions.parse(permissions),
    expiresOn,
  });
  const [containerUrl = '', sas = ''] = url.split('?');
  return new BlobReplicaStore({ containerUrl, sas });
}

const implementations: [string, () => Promise<ReplicaStore>][] = [
  ['a folder', () => mkdtemp(join(folder, 'store-')).then((path) => new FolderReplicaStore(path))],
  ['memory', () => Promise.resolve(new MemoryReplicaStore())],
  ['a blob container, by the account key', async () => new BlobReplicaStore(await newContainer())],
  ['a blob container, by a SAS', async () => grantFor(await newContainer(), 'crl')],
];

describe.each(implementations)('the replica store in %s', (_, create) => {
  let store: ReplicaStore;

  beforeAll(async () => {
    store = await create();
  });

  it('gives back a whole blob as it was put', async () => {
    const bytes = randomBytes(5 * MiB + 17);
    expect(await store.putIfAbsent('log/000000000001.seg', bytes)).toBe('created');
    expect((await store.find('log/000000000001.seg', 6 * MiB))?.equals(bytes)).toBe(true);
  });

  it('gives ranges, the last one cut at the end, with the size of the whole', async () => {
    const bytes = randomBytes(1000);
    await store.putIfAbsent('log/000000000002.seg', bytes);
    const read = (offset: number, length: number) => store.findRange('log/000000000002.seg', offset, length);
    expect(await read(10, 20)).toEqual({ bytes: bytes.subarray(10, 30), sizeBytes: 1000 });
    expect(await read(990, 20)).toEqual({ bytes: bytes.subarray(990), sizeBytes: 1000 });
    expect(await read(1000, 1)).toEqual({ bytes: Buffer.alloc(0), sizeBytes: 1000 });
    expect(await read(4000, 1)).toEqual({ bytes: Buffer.alloc(0), sizeBytes: 1000 });
    expect(await read(5, 0)).toEqual({ bytes: Buffer.alloc(0), sizeBytes: 1000 });
  });

  it('finds nothing where nothing is', async () => {
    expect(await store.find('log/000000000099.seg', 10)).toBeUndefined();
    expect(await store.findRange('log/000000000099.seg', 0, 10)).toBeUndefined();
    expect(await store.findRange('log/000000000099.seg', 0, 0)).toBeUndefined();
  });

  it('keeps what is there when the name is put again', async () => {
    await store.putIfAbsent('points/000000000001.json', Buffer.from('first'));
    expect(await store.putIfAbsent('points/000000000001.json', Buffer.from('second'))).toBe('exists');
    expect(await store.find('points/000000000001.json', 10)).toEqual(Buffer.from('first'));
  });

  it('lets one of many writers of a name win', async () => {
    const bodies = Array.from({ length: 8 }, () => randomBytes(64 * 1024));
    const outcomes = await Promise.all(
      bodies.map((body) => store.putIfAbsent('points/000000000002.json', body)),
    );
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1);
    const winner = bodies[outcomes.indexOf('created')]!;
    expect((await store.find('points/000000000002.json', MiB))?.equals(winner)).toBe(true);
  });

  it('keeps an empty blob', async () => {
    await store.putIfAbsent('points/000000000003.json', Buffer.alloc(0));
    expect(await store.find('points/000000000003.json', 10)).toEqual(Buffer.alloc(0));
  });

  it('refuses bytes that do not have the MD5 they were sent with, and keeps nothing', async () => {
    const md5 = createHash('md5').update('other').digest('base64');
    const put = store.putIfAbsent('points/000000000004.json', Buffer.from('bytes'), { md5 });
    await expect(put).rejects.toMatchObject({ code: 'Md5Mismatch', isRetryable: false });
    expect(await store.find('points/000000000004.json', 10)).toBeUndefined();
  });

  it('refuses to read a blob that is larger than the caller allows', async () => {
    await store.putIfAbsent('points/000000000005.json', Buffer.alloc(11));
    await expect(store.find('points/000000000005.json', 10)).rejects.toMatchObject({ code: 'TooLarge' });
  });

  it('lists by prefix in the order of names', async () => {
    const fresh = await create();
    for (const name of ['points/000000000002.json', 'log/000000000010.seg', 'points/000000000001.json']) {
      await fresh.putIfAbsent(name, Buffer.from(name));
    }
    const listed = [];
    for await (const entry of fresh.list('points/')) listed.push(entry);
    expect(listed).toEqual([
      { name: 'points/000000000001.json', sizeBytes: 24, writtenAtMs: expect.any(Number) as number },
      { name: 'points/000000000002.json', sizeBytes: 24, writtenAtMs: expect.any(Number) as number },
    ]);
  });

  it('is empty before anything is put', async () => {
    const fresh = await create();
    for await (const entry of fresh.list('')) expect.unreachable(entry.name);
  });
});

describe.each(implementations.slice(0, 3))('the collector of %s', (_, create) => {
  it('removes a blob for good, and may do so twice', async () => {
    const store = await create();
    await store.putIfAbsent('log/000000000001.seg', Buffer.from('dead'));
    await store.putIfAbsent('log/000000000002.seg', Buffer.from('live'));
    expect(await store.remove('log/000000000001.seg')).toBe('removed');
    expect(await store.remove('log/000000000001.seg')).toBe('absent');
    expect(await store.find('log/000000000001.seg', 10)).toBeUndefined();
    expect(await store.find('log/000000000002.seg', 10)).toEqual(Buffer.from('live'));
  });
});

describe('a blob container by a grant that may only create', () => {
  it('removes nothing', async () => {
    const container = await newContainer();
    const store = await grantFor(container, 'c');
    await store.putIfAbsent('log/000000000001.seg', Buffer.from('mine'));
    await expect(store.remove('log/000000000001.seg')).rejects.toMatchObject({ name: 'StoreError' });
    expect(await new BlobReplicaStore(container).find('log/000000000001.seg', 10)).toBeDefined();
  });

  it('creates, tells that a name is taken, and can neither read nor list', async () => {
    const container = await newContainer();
    const store = await grantFor(container, 'c');
    expect(await store.putIfAbsent('log/000000000001.seg', Buffer.from('mine'))).toBe('created');
    expect(await store.putIfAbsent('log/000000000001.seg', Buffer.from('other'))).toBe('exists');
    await expect(store.find('log/000000000001.seg', 10)).rejects.toMatchObject({ name: 'StoreError' });
    await expect(store.list('').next()).rejects.toMatchObject({ name: 'StoreError' });
    expect(await new BlobReplicaStore(container).find('log/000000000001.seg', 10)).toEqual(
      Buffer.from('mine'),
    );
  });

  it('tells a refusal without telling the grant', async () => {
    const store = new BlobReplicaStore({
      containerUrl: `http://127.0.0.1:${storage.ports.blob}/account/item-1`,
      sas: 'sv=2021-12-02&sig=verysecret',
    });
    const error: unknown = await store.find('log/000000000001.seg', 10).catch((error: unknown) => error);
    expect(error).toMatchObject({ name: 'StoreError', isRetryable: false });
    const put: unknown = await store
      .putIfAbsent('log/000000000001.seg', Buffer.alloc(1))
      .catch((e: unknown) => e);
    expect(put).toMatchObject({ name: 'StoreError', isRetryable: false });
    const { inspect } = await import('node:util');
    expect(inspect([error, put], { depth: 10, showHidden: true })).not.toContain('verysecret');
  });

  it('tells that the storage cannot be reached as something to try again', async () => {
    const store = new BlobReplicaStore({ containerUrl: 'http://127.0.0.1:9/account/item', sas: 'sig=x' });
    const put = store.putIfAbsent('log/000000000001.seg', Buffer.alloc(1));
    await expect(put).rejects.toMatchObject({ code: 'ECONNREFUSED', isRetryable: true });
  });
});
