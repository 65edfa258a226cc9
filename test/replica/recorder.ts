import { createHash } from 'node:crypto';
import { writePoint } from '../../shared/replica/chain.ts';
import type { ReadTo } from '../../shared/replica/chain.ts';
import { sealFrame, sealZeroFrame } from '../../shared/replica/frame.ts';
import { genesisHead } from '../../shared/replica/point.ts';
import type { ChainHead, Consistency, PointDisk } from '../../shared/replica/point.ts';
import { restoreDisk } from '../../shared/replica/restore.ts';
import { MemorySink } from '../../shared/replica/segment-sink.ts';
import { SegmentWriter } from '../../shared/replica/segment-writer.ts';
import type { SealedSegment } from '../../shared/replica/segment-writer.ts';
import { MemoryReplicaStore, MemoryTarget } from './memory.ts';

/** A write of a machine: whole sectors of one of its disks. */
export interface Write {
  disk: number;
  sector: number;
  sectors: number;
  content: 'zeros' | 'text' | 'noise';
  seed: number;
}

/** What the disks held at a point. */
export interface Snapshot {
  head: ChainHead;
  disks: Buffer[];
}

/** A machine whose writes go to its disks and into its replica log. */
export class Recorder {
  readonly store = new MemoryReplicaStore();
  readonly log: { store: MemoryReplicaStore; itemId: string; dataKey: Buffer };
  readonly snapshots: Snapshot[] = [];
  head: ChainHead;
  readonly #disks: Buffer[];
  #sequence = 0;
  #open: { writer: SegmentWriter; sink: MemorySink } | undefined;
  #sealed: SealedSegment[] = [];

  constructor(itemId: string, dataKey: Buffer, diskSectors: readonly number[]) {
    this.log = { store: this.store, itemId, dataKey };
    this.head = genesisHead(itemId);
    this.#disks = diskSectors.map((sectors) => Buffer.alloc(sectors * 512));
  }

  async write(write: Write): Promise<void> {
    const data = contentOf(write);
    data.copy(this.#disks[write.disk]!, write.sector * 512);
    const writer = await this.#writer();
    const place = { disk: write.disk, offsetBytes: write.sector * 512 };
    const isLarge = write.content === 'zeros' && write.seed % 2 === 0;
    const slot = writer.reserve();
    await writer.append(
      isLarge
        ? sealZeroFrame(slot, { ...place, lengthBytes: data.length })
        : sealFrame(slot, { ...place, data }),
    );
  }

  /** Ends the segment that is being written. */
  async cut(): Promise<void> {
    if (this.#open === undefined) return;
    const { writer, sink } = this.#open;
    const sealed = await writer.finish();
    await this.store.putIfAbsent(sealed.name, sink.bytes(), { md5: sealed.md5 });
    this.#sealed.push(sealed);
    this.#open = undefined;
  }

  async point(consistency: Consistency = 'CrashConsistent'): Promise<Snapshot> {
    await this.cut();
    const disks = this.#disks.map((bytes, number): PointDisk => ({
      number,
      id: `disk-${number}`,
      sizeBytes: bytes.length,
      sectorBytes: 512,
    }));
    const time = new Date(Date.UTC(2026, 0, 1) + this.head.sequence * 300_000);
    this.head = await writePoint(this.log, {
      head: this.head,
      consistency,
      time,
      disks,
      segments: this.#sealed,
    });
    this.#sealed = [];
    const snapshot = { head: this.head, disks: this.#disks.map((bytes) => Buffer.from(bytes)) };
    this.snapshots.push(snapshot);
    return snapshot;
  }

  /** A cycle that was given up: its segment is in the store, and no point will ever name it. */
  async giveUp(seed: number): Promise<string> {
    const sink = new MemorySink();
    this.#sequence += 1;
    const { itemId, dataKey } = this.log;
    const writer = await SegmentWriter.create({ itemId, dataKey, sequence: this.#sequence }, sink);
    const data = noise(seed, 512);
    await writer.append(sealFrame(writer.reserve(), { disk: 0, offsetBytes: 0, data }));
    const sealed = await writer.finish();
    await this.store.putIfAbsent(sealed.name, sink.bytes(), { md5: sealed.md5 });
    return sealed.name;
  }

  async #writer(): Promise<SegmentWriter> {
    if (this.#open === undefined) {
      const sink = new MemorySink();
      this.#sequence += 1;
      const { itemId, dataKey } = this.log;
      const writer = await SegmentWriter.create({ itemId, dataKey, sequence: this.#sequence }, sink);
      this.#open = { writer, sink };
    }
    return this.#open.writer;
  }
}

/** The disk as the log gives it back. */
export async function restored(log: Recorder['log'], point: ReadTo, disk: number): Promise<Buffer> {
  const target = new MemoryTarget();
  await restoreDisk({ log, point, disk, target });
  return target.bytes;
}

/** Bytes that depend on nothing but their seed. */
export function noise(seed: number, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < length; at += 32) blocks.push(createHash('sha256').update(`${seed}/${at}`).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

function contentOf({ sectors, content, seed }: Write): Buffer {
  if (content === 'zeros') return Buffer.alloc(sectors * 512);
  return content === 'text'
    ? Buffer.alloc(sectors * 512, `line ${seed} of a log file\n`)
    : noise(seed, sectors * 512);
}
