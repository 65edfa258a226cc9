import { createHash } from 'node:crypto';
import { MiB } from '../bytes.ts';
import { FRAME_OVERHEAD_BYTES, sealFrame, sealZeroFrame } from './frame.ts';
import type { ExtentPlace, FrameSlot } from './frame.ts';
import type { FramePool } from './frame-pool.ts';
import { free } from './free.ts';
import { MAX_SECTORS_PER_FRAME, SECTOR_BYTES, mergedSegmentName } from './layout.ts';
import { StoreError } from './replica-store.ts';
import type { ReplicaLog } from './replica-store.ts';
import { openEntry, openWholeSegment } from './segment-reader.ts';
import type { SegmentReference } from './segment-reader.ts';
import { MemorySink } from './segment-sink.ts';
import { SegmentWriter } from './segment-writer.ts';

/** A segment is closed when it has this much. */
const SEGMENT_BYTES = 12 * MiB;
const FRAMES_AT_MOST = 100_000;

/** What a frame must give back, by its number: where it lies, and the SHA-256 of its bytes (none for zeros). */
interface Expected extends ExtentPlace {
  lengthBytes: number;
  sha256: string;
}

interface OpenSegment {
  writer: SegmentWriter;
  sink: MemorySink;
  expected: Map<number, Expected>;
}

/**
 * Writes extents into new segments under `base/`. Each is read back from the store and opened before it counts: what
 * lies there is then known to give the bytes that came in. Memory: two segments.
 */
export class MergedSegments {
  readonly #log: ReplicaLog;
  readonly #pool: FramePool | undefined;
  readonly #written: SegmentReference[] = [];
  #sequence: number;
  #open: OpenSegment | undefined;
  #lastTurn: Promise<unknown> = Promise.resolve();

  /** `sequence` is the first of a range that nobody else uses. */
  constructor(log: ReplicaLog, sequence: number, pool?: FramePool) {
    this.#log = log;
    this.#sequence = sequence;
    this.#pool = pool;
  }

  /** The sequence that the next segment gets. */
  get nextSequence(): number {
    return this.#sequence;
  }

  /** Adds an extent. No two extents may overlap. The bytes are the caller's again when it resolves. */
  append(place: ExtentPlace, data: Uint8Array): Promise<void> {
    return this.#inTurn(async () => {
      const { writer, expected } = await this.#segment();
      const slot = writer.reserve();
      const sha256 = sha256Of(data);
      expected.set(slot.number, { ...place, lengthBytes: data.length, sha256 });
      const frame = await this.#seal(slot, place, data);
      await writer.append(frame);
      if (writer.sizeBytes >= SEGMENT_BYTES || writer.frames >= FRAMES_AT_MOST) await this.#close();
    });
  }

  /** Adds zeros of any length. */
  appendZeros({ disk, offsetBytes }: ExtentPlace, lengthBytes: number): Promise<void> {
    const mostBytes = MAX_SECTORS_PER_FRAME * SECTOR_BYTES;
    return this.#inTurn(async () => {
      for (let done = 0; done < lengthBytes; done += mostBytes) {
        const { writer, expected } = await this.#segment();
        const slot = writer.reserve();
        const place = { disk, offsetBytes: offsetBytes + done };
        const length = Math.min(mostBytes, lengthBytes - done);
        expected.set(slot.number, { ...place, lengthBytes: length, sha256: sha256Of(Buffer.alloc(0)) });
        await writer.append(sealZeroFrame(slot, { ...place, lengthBytes: length }));
        if (writer.frames >= FRAMES_AT_MOST) await this.#close();
      }
    });
  }

  /** Ends the last segment; answers all that were written since the last call. */
  finish(): Promise<SegmentReference[]> {
    return this.#inTurn(async () => {
      await this.#close();
      return this.#written.splice(0);
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(work);
    this.#lastTurn = turn; // after a failure nothing more is written
    turn.catch(() => undefined); // its caller hears of it
    return turn;
  }

  async #segment(): Promise<OpenSegment> {
    if (this.#open === undefined) {
      const { itemId, dataKey } = this.#log;
      const sink = new MemorySink();
      const writer = await SegmentWriter.create({ itemId, dataKey, sequence: this.#sequence }, sink);
      this.#sequence += 1;
      this.#open = { writer, sink, expected: new Map() };
    }
    return this.#open;
  }

  #seal(slot: FrameSlot, place: ExtentPlace, data: Uint8Array): Promise<Buffer> | Buffer {
    if (this.#pool === undefined) return sealFrame(slot, { ...place, data });
    return this.#pool.seal(slot, { ...place, data: Uint8Array.from(data) }); // the pool takes what it is given
  }

  async #close(): Promise<void> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const { sequence, sizeBytes, sha256, mac, md5 } = await open.writer.finish();
    const reference = { sequence, name: mergedSegmentName(sequence), sizeBytes, sha256, mac };
    const outcome = await this.#log.store.putIfAbsent(reference.name, open.sink.bytes(), { md5 });
    if (outcome === 'exists') {
      const message = `${reference.name} is in the replica log already, and this compaction did not put it there`;
      throw new StoreError(message, { code: 'BlobAlreadyExists', isRetryable: false });
    }
    await this.#prove(reference, open.expected);
    this.#written.push(reference);
  }

  /** @throws Error when the store does not give back what was put into it */
  async #prove(reference: SegmentReference, expected: ReadonlyMap<number, Expected>): Promise<void> {
    const { name, sizeBytes, sha256 } = reference;
    const bytes = await this.#log.store.find(name, sizeBytes);
    if (bytes === undefined || sha256Of(bytes) !== sha256) throw notAsWritten(name);
    const segment = await openWholeSegment(this.#log, reference, bytes);
    for (const entry of segment.entries) {
      const end = entry.fileOffset + FRAME_OVERHEAD_BYTES + entry.payloadLength;
      const isZeros = entry.payloadLength === 0;
      const data = openEntry(segment, entry, bytes.subarray(entry.fileOffset, end));
      const wanted = expected.get(entry.number);
      const isWanted =
        wanted?.disk === entry.disk &&
        wanted.offsetBytes === entry.firstSector * SECTOR_BYTES &&
        wanted.lengthBytes === entry.sectorCount * SECTOR_BYTES &&
        wanted.sha256 === sha256Of(isZeros ? Buffer.alloc(0) : data);
      if (!isWanted) throw notAsWritten(name);
      free(data);
    }
    if (segment.entries.length !== expected.size) throw notAsWritten(name);
    free(bytes);
  }
}

function notAsWritten(name: string): Error {
  return new Error(`${name} does not give back what was written into it`);
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
