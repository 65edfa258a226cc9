import { join } from 'node:path';
import { MiB } from '../../shared/bytes.ts';
import type { Piece } from '../../appliance/mobility-agent/disk-source.ts';
import type { PieceSink } from '../../appliance/mobility-agent/linux/live-capture.ts';
import type { Consistency } from '../../shared/wire/agent.ts';
import { writePoint } from '../../shared/replica/chain.ts';
import { FileTarget } from '../../shared/replica/file-target.ts';
import { FolderReplicaStore } from '../../shared/replica/folder-replica-store.ts';
import { sealFrame, sealPackedFrame, sealZeroFrame } from '../../shared/replica/frame.ts';
import { HASH_BLOCK_BYTES, HASH_BYTES } from '../../shared/replica/hash-blocks.ts';
import { generateDataKey } from '../../shared/replica/keys.ts';
import { genesisHead, type ChainHead, type PointDisk } from '../../shared/replica/point.ts';
import { restoreDisk } from '../../shared/replica/restore.ts';
import { MemorySink } from '../../shared/replica/segment-sink.ts';
import { SegmentWriter, type SealedSegment } from '../../shared/replica/segment-writer.ts';

const segmentBytes = 12 * MiB;
const frameBytes = 1 * MiB;

/** Writes pieces of disks into a replica log in a folder, and restores its points. */
export class ReplicaRecorder implements PieceSink {
  readonly #log: { store: FolderReplicaStore; itemId: string; dataKey: Buffer };
  readonly #disks: PointDisk[];
  /** What the replica has of each disk, as block hashes; 0xff where it is not known. */
  readonly #hashes: Uint8Array[];
  #head: ChainHead;
  #open: { writer: SegmentWriter; sink: MemorySink } | undefined;
  #sequence = 0;
  #sealed: SealedSegment[] = [];
  #sentBytes = 0;

  constructor(folder: string, sizes: readonly number[]) {
    const itemId = 'live-item';
    this.#log = {
      store: new FolderReplicaStore(join(folder, 'replica')),
      itemId,
      dataKey: generateDataKey(),
    };
    this.#head = genesisHead(itemId);
    this.#disks = sizes.map((sizeBytes, number) => ({
      number,
      id: `disk-${number}`,
      sizeBytes,
      sectorBytes: 512,
    }));
    this.#hashes = sizes.map((size) => new Uint8Array(Math.ceil(size / HASH_BLOCK_BYTES) * HASH_BYTES));
  }

  get points(): number {
    return this.#head.sequence;
  }

  get sentBytes(): number {
    return this.#sentBytes;
  }

  readonly known = (disk: number, offsetBytes: number, lengthBytes: number): Uint8Array => {
    const from = (offsetBytes / HASH_BLOCK_BYTES) * HASH_BYTES;
    return this.#hashes[disk]!.subarray(from, from + Math.ceil(lengthBytes / HASH_BLOCK_BYTES) * HASH_BYTES);
  };

  async send(disk: number, piece: Piece): Promise<void> {
    for (const { startBytes, lengthBytes, zero, packedBytes } of piece.runs) {
      const offsetBytes = piece.offsetBytes + startBytes;
      const writer = await this.#writer();
      if (zero) {
        await writer.append(sealZeroFrame(writer.reserve(), { disk, offsetBytes, lengthBytes }));
        continue;
      }
      this.#sentBytes += lengthBytes;
      if (packedBytes > 0) {
        const packed = piece.bytes.subarray(startBytes, startBytes + packedBytes);
        await writer.append(sealPackedFrame(writer.reserve(), { disk, offsetBytes, lengthBytes, packed }));
        continue;
      }
      for (let at = 0; at < lengthBytes; at += frameBytes) {
        const data = piece.bytes.subarray(
          startBytes + at,
          startBytes + Math.min(at + frameBytes, lengthBytes),
        );
        await writer.append(sealFrame(writer.reserve(), { disk, offsetBytes: offsetBytes + at, data }));
      }
    }
    this.#note(disk, piece);
    piece.release();
    if ((this.#open?.writer.sizeBytes ?? 0) >= segmentBytes) await this.flush();
  }

  async flush(): Promise<void> {
    if (!this.#open) return;
    const { writer, sink } = this.#open;
    this.#open = undefined;
    const sealed = await writer.finish();
    await this.#log.store.putIfAbsent(sealed.name, sink.bytes(), { md5: sealed.md5 });
    this.#sealed.push(sealed);
  }

  async commit(consistency: Consistency, atMs: number): Promise<number> {
    await this.flush();
    const segments = this.#sealed;
    this.#sealed = [];
    this.#head = await writePoint(this.#log, {
      head: this.#head,
      consistency,
      time: new Date(atMs),
      disks: this.#disks,
      segments,
    });
    return this.#head.sequence;
  }

  /** Restores one disk of a point into a file. */
  async restore(sequence: number, disk: number, path: string): Promise<void> {
    await restoreDisk({ log: this.#log, point: { sequence }, disk, target: new FileTarget(path, 'raw') });
  }

  #note(disk: number, { offsetBytes, lengthBytes, hashes, runs }: Piece): void {
    const map = this.#hashes[disk]!;
    const first = Math.floor(offsetBytes / HASH_BLOCK_BYTES) * HASH_BYTES;
    if (hashes.length > 0) {
      if (runs.length > 0) map.set(hashes, first);
      return;
    }
    map.fill(0xff, first, Math.ceil((offsetBytes + lengthBytes) / HASH_BLOCK_BYTES) * HASH_BYTES);
  }

  async #writer(): Promise<SegmentWriter> {
    if (!this.#open) {
      this.#sequence += 1;
      const sink = new MemorySink();
      const { itemId, dataKey } = this.#log;
      const writer = await SegmentWriter.create({ itemId, dataKey, sequence: this.#sequence }, sink);
      this.#open = { writer, sink };
    }
    return this.#open.writer;
  }
}
