/**
 * Writes one segment: header at once, frames as they come, index and footer at the end.
 * Frames are sealed outside (`reserve`, then `sealFrame` here or in a `FramePool`) and appended in any order.
 * A segment is written by one process in one go. After a crash `recoverSegment` seals what is there; nobody extends it,
 * so no number, and thus no nonce, is used twice under one key.
 */
import { createHash, randomBytes } from 'node:crypto';
import { FRAME_HEADER_BYTES, FRAME_OVERHEAD_BYTES, decodeFrameHeader } from './frame.ts';
import type { FrameSlot } from './frame.ts';
import { SALT_BYTES, segmentKeys } from './keys.ts';
import type { SegmentKeys } from './keys.ts';
import { MAX_FRAMES_PER_SEGMENT, MAX_SEGMENT_BYTES, segmentName } from './layout.ts';
import { FOOTER_BYTES, MAC_BYTES, countFrames, encodeHeader, encodeTail } from './segment-format.ts';
import type { IndexEntry, SegmentCounts, SegmentHeader } from './segment-format.ts';
import type { SegmentSink } from './segment-sink.ts';

/** A finished segment: what its point's manifest says of it, and what its upload needs. */
export interface SealedSegment {
  sequence: number;
  /** Blob name. */
  name: string;
  sizeBytes: number;
  /** Hex, of the whole file. */
  sha256: string;
  /** Base64, of the whole file: the Content-MD5 of the upload. */
  md5: string;
  /** Hex, the footer's MAC. */
  mac: string;
  counts: SegmentCounts;
}

/** Which segment to write. The sequence is greater than any used before for the item. */
export interface SegmentIdentity {
  itemId: string;
  dataKey: Uint8Array;
  sequence: number;
}

/** Hashes of a whole segment file, as `SealedSegment` has them. */
export interface FileDigest {
  sha256: string;
  md5: string;
}

/** How a writer comes by them: it tells every byte in order, and asks once the file is closed. */
export interface SegmentDigest {
  update(bytes: Uint8Array): void;
  finish(): FileDigest | Promise<FileDigest>;
}

/** Hashes as the bytes come, on the thread that writes. */
class RunningDigest implements SegmentDigest {
  readonly #sha256 = createHash('sha256');
  readonly #md5 = createHash('md5');

  update(bytes: Uint8Array): void {
    this.#sha256.update(bytes);
    this.#md5.update(bytes);
  }

  finish(): FileDigest {
    return { sha256: this.#sha256.digest('hex'), md5: this.#md5.digest('base64') };
  }
}

interface Pending {
  bytes: Uint8Array;
  resolve: () => void;
  reject: (reason: unknown) => void;
}

export class SegmentWriter {
  readonly header: SegmentHeader;
  readonly #keys: SegmentKeys;
  readonly #sink: SegmentSink;
  readonly #digest: SegmentDigest;
  readonly #entries: IndexEntry[] = [];
  readonly #numbers = new Set<number>();
  #sizeBytes = 0;
  #nextNumber = 0;
  #pending: Pending[] = [];
  #flushing: Promise<void> | undefined;
  #syncs: { running: Promise<void>; next: Promise<void> | undefined } | undefined;
  #failure: Error | undefined;
  #state: 'open' | 'finishing' | 'closed' = 'open';

  private constructor(
    header: SegmentHeader,
    keys: SegmentKeys,
    to: { sink: SegmentSink; digest: SegmentDigest },
  ) {
    this.header = header;
    this.#keys = keys;
    this.#sink = to.sink;
    this.#digest = to.digest;
  }

  /** Begins a segment with a fresh salt, and writes its header. */
  static async create(
    identity: SegmentIdentity,
    sink: SegmentSink,
    digest: SegmentDigest = new RunningDigest(),
  ): Promise<SegmentWriter> {
    const header = { itemId: identity.itemId, sequence: identity.sequence, salt: randomBytes(SALT_BYTES) };
    segmentName(header.sequence);
    const writer = new SegmentWriter(header, segmentKeys(identity.dataKey, header), { sink, digest });
    await writer.#orClose(writer.#write(encodeHeader(header)));
    return writer;
  }

  /** Bytes so far: header and frames. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Frames appended so far. */
  get frames(): number {
    return this.#entries.length;
  }

  /** Gives the number and key for the next frame. The order of these calls decides which of two overlapping extents is newer. */
  reserve(): FrameSlot {
    if (this.#nextNumber >= MAX_FRAMES_PER_SEGMENT)
      throw new RangeError('the segment is full: no frame number is left');
    const slot = { sequence: this.header.sequence, number: this.#nextNumber, frameKey: this.#keys.frame };
    this.#nextNumber += 1;
    return slot;
  }

  /** Appends a sealed frame of this segment. Resolves when it is written; `sync` makes it durable. */
  append(frame: Uint8Array): Promise<void> {
    if (this.#state !== 'open')
      return Promise.reject(new Error('the segment is finished: no frame can be appended'));
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
    const header = decodeFrameHeader(bytes);
    if (header === undefined || bytes.length !== header.payloadLength + FRAME_OVERHEAD_BYTES) {
      return Promise.reject(new TypeError('not a sealed frame'));
    }
    if (header.number >= this.#nextNumber || this.#numbers.has(header.number)) {
      return Promise.reject(
        new RangeError(`frame ${header.number} was not reserved, or is in the segment already`),
      );
    }
    if (this.#sizeBytes + bytes.length + tailBytesAtMost(this.frames + 1) > MAX_SEGMENT_BYTES) {
      return Promise.reject(new RangeError(`the segment is full at ${this.#sizeBytes} bytes`));
    }
    this.#numbers.add(header.number);
    this.#entries.push({ ...header, fileOffset: this.#sizeBytes });
    return this.#write(bytes);
  }

  /** Resolves when every frame whose append was called before is durable. Concurrent calls share one flush. */
  sync(): Promise<void> {
    if (this.#syncs === undefined) {
      const running = this.#syncOnce().finally(() => {
        this.#syncs = undefined;
      });
      this.#syncs = { running, next: undefined };
      return running;
    }
    const syncs = this.#syncs;
    syncs.next ??= syncs.running.then(
      () => this.sync(),
      () => this.sync(),
    );
    return syncs.next;
  }

  /** Writes index and footer, makes all durable and closes the sink, which it also does when it fails. */
  async finish(): Promise<SealedSegment> {
    if (this.#state !== 'open') throw new Error('the segment is finished already');
    this.#state = 'finishing';
    const counts = countFrames(this.#entries);
    const tail = encodeTail(this.header, this.#entries, this.#keys.index);
    await this.#orClose(this.#write(tail).then(() => this.sync()));
    await this.#close();
    return {
      sequence: this.header.sequence,
      name: segmentName(this.header.sequence),
      sizeBytes: this.#sizeBytes,
      ...(await this.#digest.finish()),
      mac: tail.subarray(tail.length - MAC_BYTES).toString('hex'),
      counts,
    };
  }

  /** Closes the sink and leaves the file as it is, for `recoverSegment` or for deletion. */
  async abandon(): Promise<void> {
    this.#failure ??= new Error('the segment was abandoned');
    await this.#flushing;
    await this.#close();
  }

  async #orClose(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      await this.#close();
      throw error;
    }
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    await this.#sink.close();
  }

  #write(bytes: Uint8Array): Promise<void> {
    this.#sizeBytes += bytes.length;
    this.#digest.update(bytes);
    return new Promise((resolve, reject) => {
      this.#pending.push({ bytes, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  async #flush(): Promise<void> {
    await Promise.resolve(); // what is appended in this turn goes out in one write
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      try {
        if (this.#failure !== undefined) throw this.#failure;
        await this.#sink.append(batch.map((entry) => entry.bytes));
        for (const entry of batch) entry.resolve();
      } catch (error) {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
        for (const entry of batch) entry.reject(this.#failure);
      }
    }
    this.#flushing = undefined;
  }

  async #syncOnce(): Promise<void> {
    await this.#flushing;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#sink.sync();
    } catch (error) {
      // After a failed fsync the kernel may have dropped the pages: nothing later can be promised either.
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      throw error;
    }
  }
}

/** Zstd makes incompressible bytes longer by less than a 128th. */
function tailBytesAtMost(frames: number): number {
  const indexBytes = frames * FRAME_HEADER_BYTES;
  return Math.ceil(indexBytes * (1 + 1 / 128)) + 1024 + FOOTER_BYTES;
}
