import { createCipheriv, createHash, randomBytes, randomUUID } from 'node:crypto';
import { BlobServiceClient } from '@azure/storage-blob';
import { KiB, MiB } from '../../shared/bytes.ts';
import { type Storage } from '../../local/storage/storage.ts';
import {
  containerOf,
  ensureReplicaContainer,
  openDataKey,
} from '../../shared/protection/replica-container.ts';
import { itemRef } from '../../shared/protection/item-row.ts';
import { itemOfTest } from '../../shared/protection/item-of-test.ts';
import { insertItem } from '../../shared/protection/protected-item-store.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import { allPoints, findAnchor } from '../../shared/recovery/recovery-point-store.ts';
import { retainItem } from '../../shared/recovery/retain.ts';
import { RetentionTiers, defaultTiers } from '../../shared/recovery/thinning.ts';
import { BlobReplicaStore } from '../../shared/replica/blob-replica-store.ts';
import { writePoint } from '../../shared/replica/chain.ts';
import { sealFrame } from '../../shared/replica/frame.ts';
import { type ChainHead, genesisHead } from '../../shared/replica/point.ts';
import { type ReplicaLog } from '../../shared/replica/replica-store.ts';
import { restoreDisk } from '../../shared/replica/restore.ts';
import { MemorySink } from '../../shared/replica/segment-sink.ts';
import { SegmentWriter } from '../../shared/replica/segment-writer.ts';
import { Table } from '../../shared/store/table.ts';
import { type Verification, verifyChain } from '../../shared/replica/verify-chain.ts';
import { MemoryTarget } from '../replica/memory.ts';

export const blockBytes = 4 * KiB;
const vault = { subscriptionId: 's', resourceGroup: 'g', vaultName: 'v' };
const minuteMs = 60_000;

/** An item with one disk in real storage, whose appliance and control plane live by a clock that the test moves. */
export class RetentionSite {
  readonly services: {
    table: Table;
    replicaStorage: BlobServiceClient;
    vaultKey: { kid: string; wrapping: Buffer };
  };
  readonly #row = { ...itemOfTest, protectedItemId: randomUUID(), itemName: randomUUID() };
  readonly item = itemRef(vault, this.#row);
  readonly blocks: number;
  /** Which content each block has; 0: never written. By point: as they were then. */
  readonly #versions: Uint32Array;
  readonly snapshots = new Map<number, Uint32Array>();
  readonly #cipherKey = randomBytes(16);
  head: ChainHead;
  nowMs = Date.now();
  #segment = 0;
  #version = 0;

  constructor(storage: Storage, blocks: number) {
    this.services = {
      table: new Table(storage.connectionString, 'secondsite'),
      replicaStorage: BlobServiceClient.fromConnectionString(storage.connectionString),
      vaultKey: { kid: 'k1', wrapping: randomBytes(32) },
    };
    this.blocks = blocks;
    this.#versions = new Uint32Array(blocks);
    this.head = genesisHead(this.item.protectedItemId);
  }

  /** Makes the item and its container. */
  async log(): Promise<ReplicaLog> {
    const { protectedItemId } = this.item;
    await insertItem(this.services.table, vault, this.#row);
    await ensureReplicaContainer(this.services, protectedItemId);
    return {
      store: new BlobReplicaStore(containerOf(this.services, protectedItemId)),
      itemId: protectedItemId,
      dataKey: await openDataKey(this.services, protectedItemId),
    };
  }

  /** What the appliance does in five minutes: these blocks get new content, and a point is made. */
  async point(log: ReplicaLog, blocks: Iterable<number>): Promise<void> {
    this.nowMs += 5 * minuteMs;
    const segment = await this.writeSegment(log, blocks);
    this.head = await writePoint(log, {
      head: this.head,
      consistency: 'CrashConsistent',
      time: new Date(this.nowMs),
      disks: [{ number: 0, id: 'disk', sizeBytes: this.blocks * blockBytes, sectorBytes: 512 }],
      segments: [segment],
    });
    this.snapshots.set(this.head.sequence, this.#versions.slice());
  }

  /** A segment of new content; one that no point names is what a given-up cycle leaves. */
  async writeSegment(log: ReplicaLog, blocks: Iterable<number>) {
    this.#segment += 1;
    const sink = new MemorySink();
    const writer = await SegmentWriter.create({ ...log, sequence: this.#segment }, sink);
    for (const block of blocks) {
      this.#version += 1;
      this.#versions[block] = this.#version;
      const data = this.#content(this.#version);
      await writer.append(sealFrame(writer.reserve(), { disk: 0, offsetBytes: block * blockBytes, data }));
    }
    const sealed = await writer.finish();
    await log.store.putIfAbsent(sealed.name, sink.bytes(), { md5: sealed.md5 });
    return sealed;
  }

  /** What the control plane does every hour. Answers how many steps it took. */
  async retain(historyMs = 15 * 24 * 60 * minuteMs): Promise<number> {
    await advanceRecoveryPoints(this.services, this.item, { nowMs: this.nowMs });
    for (let steps = 1; ; steps += 1) {
      const { isComplete } = await retainItem(this.services, this.item, this.options(historyMs));
      if (isComplete) return steps;
    }
  }

  options(historyMs: number) {
    return {
      retention: { tiers: RetentionTiers.parse(defaultTiers), historyMs },
      budgetBytes: 64 * MiB,
      graceMs: 60 * minuteMs,
      nowMs: this.nowMs,
    };
  }

  /** The points that there are, oldest first. */
  async sequences(): Promise<number[]> {
    const points = await allPoints(this.services.table, this.item);
    return points.map(({ value }) => value.sequence).toReversed();
  }

  async storedBytes(): Promise<number> {
    let bytes = 0;
    for await (const { properties } of containerOf(
      this.services,
      this.item.protectedItemId,
    ).listBlobsFlat()) {
      bytes += properties.contentLength ?? 0;
    }
    return bytes;
  }

  /** Bytes of the different contents that the points' disks have: what no storage could do without. */
  async liveBytes(): Promise<number> {
    const versions = new Set<number>();
    for (const sequence of await this.sequences()) {
      for (const version of this.snapshots.get(sequence) ?? []) if (version > 0) versions.add(version);
    }
    return versions.size * blockBytes;
  }

  /** Whether the point, restored by what the control plane has recorded, is the disk as it was then. */
  async restores(log: ReplicaLog, sequence: number): Promise<boolean> {
    const anchor = await this.anchor();
    const rows = await allPoints(this.services.table, this.item);
    const hash = rows.find(({ value }) => value.sequence === sequence)?.value.hash;
    const point = {
      sequence,
      ...(hash !== undefined && { hash }),
      compaction: anchor?.compaction ?? null,
    };
    const target = new MemoryTarget();
    await restoreDisk({ log, point, disk: 0, target });
    return target.bytes.equals(this.#disk(this.snapshots.get(sequence) ?? new Uint32Array()));
  }

  async verify(log: ReplicaLog): Promise<Verification> {
    const anchor = await this.anchor();
    if (anchor === undefined) throw new Error('the item has no anchor');
    return verifyChain(log, { anchor, deep: true });
  }

  async anchor() {
    return findAnchor(this.services.table, this.item);
  }

  #disk(versions: Uint32Array): Buffer {
    const disk = Buffer.alloc(this.blocks * blockBytes);
    for (const [block, version] of versions.entries()) {
      if (version > 0) disk.set(this.#content(version), block * blockBytes);
    }
    return disk;
  }

  /** Bytes that do not compress, and depend on nothing but their version. */
  #content(version: number): Buffer {
    const counter = createHash('md5').update(String(version)).digest();
    return createCipheriv('aes-128-ctr', this.#cipherKey, counter).update(Buffer.alloc(blockBytes));
  }
}
