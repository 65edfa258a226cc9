import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import {
  containerOf,
  deleteReplicaContainer,
  ensureReplicaContainer,
  openDataKey,
} from '../../shared/protection/replica-container.ts';
import { itemRef } from '../../shared/protection/item-row.ts';
import { itemOfTest } from '../../shared/protection/item-of-test.ts';
import { insertItem, removeItem } from '../../shared/protection/protected-item-store.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import {
  findAnchor,
  getPoint,
  listPoints,
  removePoints,
} from '../../shared/recovery/recovery-point-store.ts';
import { recoveryPointName } from '../../shared/recovery/recovery-point.ts';
import { BlobReplicaStore } from '../../shared/replica/blob-replica-store.ts';
import { type ChainHead, genesisHead } from '../../shared/replica/point.ts';
import { Table } from '../../shared/store/table.ts';
import { extentBytes, writeExtentPoint } from './test-replication.ts';

const vault = { subscriptionId: 's', resourceGroup: 'g', vaultName: 'v' };
const disks = [{ diskId: 'a', sizeBytes: 1_048_576 }];

describe('recovery points', () => {
  let folder: string;
  let storage: Storage;
  let services: Parameters<typeof advanceRecoveryPoints>[0];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-points-'));
    storage = await startStorage({ dataFolder: folder });
    services = {
      table: new Table(storage.connectionString, 'secondsite'),
      replicaStorage: BlobServiceClient.fromConnectionString(storage.connectionString),
      vaultKey: { kid: 'k1', wrapping: randomBytes(32) },
    };
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function newItem() {
    const protectedItemId = randomUUID();
    const item = { ...itemOfTest, protectedItemId, itemName: protectedItemId };
    await insertItem(services.table, vault, item);
    await ensureReplicaContainer(services, protectedItemId);
    return itemRef(vault, item);
  }

  /** Writes points after `head`, as the item's appliance would. */
  async function write(protectedItemId: string, count: number, from?: ChainHead): Promise<ChainHead> {
    const store = new BlobReplicaStore(containerOf(services, protectedItemId));
    const dataKey = await openDataKey(services, protectedItemId);
    let head = from ?? genesisHead(protectedItemId);
    for (let made = 0; made < count; made += 1) {
      ({ head } = await writeExtentPoint({ store, itemId: protectedItemId, dataKey }, head, disks));
    }
    return head;
  }

  async function sequences(item: { vault: typeof vault; protectedItemId: string }): Promise<number[]> {
    return (await listPoints(services.table, item)).rows.map(({ value }) => value.sequence);
  }

  it('keep the data key that is there when the container is prepared again', async () => {
    const { protectedItemId } = await newItem();
    const key = await openDataKey(services, protectedItemId);
    await ensureReplicaContainer(services, protectedItemId);
    expect(await openDataKey(services, protectedItemId)).toEqual(key);
  });

  it('are none where the log has none', async () => {
    const item = await newItem();
    expect(await advanceRecoveryPoints(services, item)).toBeUndefined();
    expect(await findAnchor(services.table, item)).toBeUndefined();
  });

  it('are recorded once, newest first, whoever looks and how often', async () => {
    const item = await newItem();
    const head = await write(item.protectedItemId, 3);
    const anchors = await Promise.all(Array.from({ length: 5 }, () => advanceRecoveryPoints(services, item)));
    expect(anchors).toEqual(Array.from({ length: 5 }, () => expect.objectContaining(head) as unknown));
    expect(await sequences(item)).toEqual([3, 2, 1]);
    const name = recoveryPointName(item.protectedItemId, 2);
    expect(await getPoint(services.table, item, name.toUpperCase())).toMatchObject({
      sequence: 2,
      consistency: 'CrashConsistent',
      changedBytes: extentBytes,
    });
    const next = await write(item.protectedItemId, 1, head);
    expect(await advanceRecoveryPoints(services, item)).toMatchObject(next);
    expect(await sequences(item)).toEqual([4, 3, 2, 1]);
  });

  it('stop before a point that was altered, say where, and go on when it is put right', async () => {
    const item = await newItem();
    await write(item.protectedItemId, 3);
    const blob = containerOf(services, item.protectedItemId).getBlockBlobClient('points/000000000002.json');
    const bytes = await blob.downloadToBuffer();
    const altered = Buffer.from(bytes);
    altered.writeUInt8(altered.readUInt8(40) ^ 1, 40);
    await blob.uploadData(altered);
    const stuck = await advanceRecoveryPoints(services, item);
    expect(stuck).toMatchObject({ sequence: 1, defect: { blob: 'points/000000000002.json' } });
    expect(await advanceRecoveryPoints(services, item)).toEqual(stuck);
    expect(await sequences(item)).toEqual([1]);
    await blob.uploadData(bytes);
    const healed = await advanceRecoveryPoints(services, item);
    expect(healed).toMatchObject({ sequence: 3 });
    expect(healed?.defect).toBeUndefined();
    expect(await sequences(item)).toEqual([3, 2, 1]);
  });

  it('do not follow a log that was cut and written anew', async () => {
    const item = await newItem();
    await write(item.protectedItemId, 2);
    const anchored = await advanceRecoveryPoints(services, item);
    const container = containerOf(services, item.protectedItemId);
    for (const name of ['points/000000000002.json', 'log/000000000002.seg']) await container.deleteBlob(name);
    const { hash } = (await getPointHash(item, 1))!;
    await write(item.protectedItemId, 2, { sequence: 1, hash });
    expect(await advanceRecoveryPoints(services, item)).toMatchObject({
      sequence: 2,
      hash: anchored?.hash,
      defect: { blob: 'points/000000000002.json' },
    });
    expect(await sequences(item)).toEqual([2, 1]);
  });

  async function getPointHash(item: { vault: typeof vault; protectedItemId: string }, sequence: number) {
    const points = await listPoints(services.table, item);
    return points.rows.find(({ value }) => value.sequence === sequence)?.value;
  }

  it('are forgotten with their item, and forgetting twice is the same', async () => {
    const item = await newItem();
    await write(item.protectedItemId, 2);
    await advanceRecoveryPoints(services, item);
    for (let times = 0; times < 2; times += 1) {
      await deleteReplicaContainer(services, item.protectedItemId);
      await removePoints(services.table, item);
      await removeItem(services.table, vault, item);
    }
    expect(await sequences(item)).toEqual([]);
    await expect(findAnchor(services.table, item)).rejects.toMatchObject({
      fault: { code: 'ResourceNotFound' },
    });
    await expect(advanceRecoveryPoints(services, item)).rejects.toMatchObject({
      fault: { code: 'ResourceNotFound' },
    });
  });

  it('can not be read with another vault’s key', async () => {
    const { protectedItemId } = await newItem();
    const other = { ...services, vaultKey: { kid: 'k2', wrapping: randomBytes(32) } };
    await expect(openDataKey(other, protectedItemId)).rejects.toMatchObject({
      fault: { code: 'ReplicaDamaged' },
    });
  });
});
