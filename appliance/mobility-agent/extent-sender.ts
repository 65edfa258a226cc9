import { MiB } from '../../shared/bytes.ts';
import type { Fault } from '../../shared/fault.ts';
import { free } from '../../shared/replica/free.ts';
import { HASH_BLOCK_BYTES, HASH_BYTES } from '../../shared/replica/hash-blocks.ts';
import {
  agentProtocol,
  extentHeaderBytes,
  ExtentsAcknowledged,
  writeExtentHeader,
  type CycleProgress,
  type ExtentHeader,
} from '../../shared/wire/agent.ts';
import type { BlockMap } from './block-map.ts';
import type { Connection } from './connection.ts';
import type { Piece } from './disk-source.ts';
import type { ChangedRun } from './read-worker.ts';

const bodyBytes = 4 * MiB;
const bodiesAtOnce = 3;
/** Zeros carry no bytes; this is what the length field and a sane map write allow. */
const zeroBytesAtMost = 1024 * MiB;
/** Extents of one body: each costs memory at both ends, however short it is. */
const extentsAtMost = 4_096;
/** A body goes out at least this often, an empty one too: it tells how far the compare is. */
const tellEveryMs = 2_000;

interface ExtentSenderOptions {
  connection: Connection;
  protectedItemId: string;
  cycleId: string;
  progress: () => CycleProgress;
  /** Why sending stands still; undefined when it goes on. */
  onStall: (fault: Fault | undefined) => void;
  /** Called with the first failure, when nothing more can be sent. */
  onFailure: (error: unknown) => void;
  signal: AbortSignal;
}

/** Where it is noted what the replica has of a disk. */
export type BlockNotes = Pick<BlockMap, 'forget' | 'write' | 'clear'>;

/** Extents that will travel together. */
interface Body {
  buffers: Uint8Array[];
  /** Those of them that are nobody else's. */
  copies: Uint8Array[];
  bytes: number;
  extents: number;
  /** Notes in the maps what has arrived. */
  acknowledged: (() => void)[];
  /** Gives back the pieces whose bytes are in it, whether they arrived or not. */
  release: (() => void)[];
}

/**
 * Sends the changed runs of pieces, a few megabytes a request and some requests at a time, and notes what was
 * acknowledged in the disk's map. No block is on its way twice at once, so the order of requests does not matter.
 */
export class ExtentSender {
  readonly #options: ExtentSenderOptions;
  #body = emptyBody();
  readonly #running = new Set<Promise<void>>();
  #failure: { error: unknown } | undefined;
  #toldAtMs = Date.now();
  /** A run of zeros that may go on in the next piece. */
  #zeros: { header: ExtentHeader; map: BlockNotes } | undefined;

  constructor(options: ExtentSenderOptions) {
    this.#options = options;
  }

  /** Takes a piece's changed runs, and releases it as soon as its bytes are no longer needed. Waits while enough is on its way. */
  async send(diskIndex: number, piece: Piece, map: BlockNotes): Promise<void> {
    const sentBytes = piece.runs.reduce((sum, run) => sum + sentBytesOf(run), 0);
    // A piece with little to send is copied from: held until the answer, few changes could keep all pieces.
    const isHeld = sentBytes * 3 > piece.lengthBytes;
    for (const run of piece.runs) {
      const offsetBytes = piece.offsetBytes + run.startBytes;
      const { zero, lengthBytes, packedBytes } = run;
      map.forget(offsetBytes, lengthBytes);
      const header = { diskIndex, zero, packedBytes, lengthBytes, offsetBytes };
      if (zero) {
        this.#addZeros(header, map);
        continue;
      }
      const hashes = hashesOf(piece, run);
      const view = piece.bytes.subarray(run.startBytes, run.startBytes + sentBytesOf(run));
      this.#add(header, { data: view, isHeld, onAcknowledged: () => map.write(offsetBytes, hashes) });
    }
    if (isHeld) this.#body.release.push(piece.release);
    else piece.release();
    const isFull = this.#body.bytes >= bodyBytes || this.#body.extents >= extentsAtMost;
    if (isFull || Date.now() - this.#toldAtMs >= tellEveryMs) await this.#dispatch();
  }

  /** Resolves when everything given has arrived. @throws the first failure */
  async flush(): Promise<void> {
    this.#addPendingZeros();
    if (this.#body.extents > 0) await this.#dispatch();
    await Promise.all(this.#running);
    this.#throwFailure();
  }

  #addZeros(header: ExtentHeader, map: BlockNotes): void {
    const last = this.#zeros?.header;
    const isNext =
      last?.diskIndex === header.diskIndex && last.offsetBytes + last.lengthBytes === header.offsetBytes;
    if (last && isNext && last.lengthBytes + header.lengthBytes <= zeroBytesAtMost) {
      last.lengthBytes += header.lengthBytes;
      return;
    }
    this.#addPendingZeros();
    this.#zeros = { header, map };
  }

  #addPendingZeros(): void {
    if (!this.#zeros) return;
    const { header, map } = this.#zeros;
    this.#zeros = undefined;
    const onAcknowledged = (): void => map.clear(header.offsetBytes, header.lengthBytes);
    this.#add(header, { data: undefined, isHeld: false, onAcknowledged });
  }

  #add(
    header: ExtentHeader,
    extent: { data: Buffer | undefined; isHeld: boolean; onAcknowledged: () => void },
  ): void {
    const body = this.#body;
    const data = extent.data ?? Buffer.alloc(0);
    const copied = extent.isHeld ? 0 : data.length;
    const bytes = Buffer.allocUnsafeSlow(extentHeaderBytes + copied);
    writeExtentHeader(bytes, 0, header);
    if (!extent.isHeld) data.copy(bytes, extentHeaderBytes);
    body.buffers.push(bytes);
    body.copies.push(bytes);
    if (extent.isHeld) body.buffers.push(data);
    body.bytes += extentHeaderBytes + data.length;
    body.extents += 1;
    body.acknowledged.push(extent.onAcknowledged);
  }

  async #dispatch(): Promise<void> {
    while (this.#running.size >= bodiesAtOnce) await Promise.race(this.#running);
    this.#throwFailure();
    this.#toldAtMs = Date.now();
    const body = this.#body;
    this.#body = emptyBody();
    const running = this.#post(body)
      .catch((error: unknown) => {
        if (this.#failure) return;
        this.#failure = { error };
        this.#options.onFailure(error);
      })
      .finally(() => {
        this.#running.delete(running);
        for (const release of body.release) release();
        for (const bytes of body.copies) free(bytes);
      });
    this.#running.add(running);
  }

  /** Tries again for as long as the process server is busy or away; what it has already does no harm there. */
  async #post(body: Body): Promise<void> {
    const { connection, protectedItemId, cycleId, progress, onStall, signal } = this.#options;
    await connection.persist(
      {
        path: `${agentProtocol.path}/items/${protectedItemId}/cycles/${cycleId}/extents`,
        body: undefined,
        buffers: body.buffers,
        headers: { 'secondsite-progress': JSON.stringify(progress()) },
        answer: ExtentsAcknowledged,
        signal,
      },
      onStall,
    );
    for (const note of body.acknowledged) note();
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

function emptyBody(): Body {
  return { buffers: [], copies: [], bytes: 0, extents: 0, acknowledged: [], release: [] };
}

function sentBytesOf({ zero, lengthBytes, packedBytes }: ChangedRun): number {
  return zero ? 0 : packedBytes || lengthBytes;
}

function hashesOf(piece: Piece, run: Piece['runs'][number]): Uint8Array {
  const from = (run.startBytes / HASH_BLOCK_BYTES) * HASH_BYTES;
  return piece.hashes.subarray(from, from + Math.ceil(run.lengthBytes / HASH_BLOCK_BYTES) * HASH_BYTES);
}
