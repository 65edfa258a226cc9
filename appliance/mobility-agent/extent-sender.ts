import { MiB } from '../../shared/bytes.ts';
import { isRetryable, DomainError } from '../../shared/fault.ts';
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
import { backOff } from './back-off.ts';

const bodyBytes = 8 * MiB;
const bodiesAtOnce = 2;
/** Zeros carry no bytes; this is what the length field and a sane map write allow. */
const zeroBytesAtMost = 1024 * MiB;

/** Extents that will travel together, and what to note when they have arrived. */
interface Body {
  buffers: Uint8Array[];
  bytes: number;
  acknowledged: (() => void)[];
}

/**
 * Sends the changed runs of pieces, a few megabytes a request and two requests at a time, and notes what was
 * acknowledged in the disk's map. No block is on its way twice at once, so the order of requests does not matter.
 */
export class ExtentSender {
  readonly #connection: Connection;
  readonly #path: string;
  readonly #signal: AbortSignal;
  readonly #progress: () => CycleProgress;
  #body: Body = { buffers: [], bytes: 0, acknowledged: [] };
  readonly #running = new Set<Promise<void>>();
  #failure: unknown;
  /** A run of zeros that may go on in the next piece. */
  #zeros: { header: ExtentHeader; map: BlockMap } | undefined;

  constructor(options: {
    connection: Connection;
    protectedItemId: string;
    cycleId: string;
    progress: () => CycleProgress;
    signal: AbortSignal;
  }) {
    this.#connection = options.connection;
    this.#path = `${agentProtocol.path}/items/${options.protectedItemId}/cycles/${options.cycleId}/extents`;
    this.#progress = options.progress;
    this.#signal = options.signal;
  }

  /** Takes a piece's changed runs, and releases it as soon as its bytes are no longer needed. Waits while enough is on its way. */
  async send(diskIndex: number, piece: Piece, map: BlockMap): Promise<void> {
    const changedBytes = piece.runs.reduce((sum, run) => sum + (run.zero ? 0 : run.lengthBytes), 0);
    // A piece with little to send is copied from: held until the answer, few changes could keep all pieces.
    const isHeld = changedBytes * 2 > piece.lengthBytes;
    let unacknowledged = piece.runs.filter(({ zero }) => !zero).length;
    for (const run of piece.runs) {
      const offsetBytes = piece.offsetBytes + run.startBytes;
      const { zero, lengthBytes } = run;
      map.forget(offsetBytes, lengthBytes);
      const header = { diskIndex, zero, lengthBytes, offsetBytes };
      if (zero) {
        this.#addZeros(header, map);
        continue;
      }
      const hashes = hashesOf(piece, run);
      const view = piece.bytes.subarray(run.startBytes, run.startBytes + lengthBytes);
      this.#add(header, isHeld ? view : Buffer.from(view), () => {
        map.write(offsetBytes, hashes);
        unacknowledged -= 1;
        if (isHeld && unacknowledged === 0) piece.release();
      });
    }
    if (!isHeld) piece.release();
    if (this.#body.bytes >= bodyBytes) await this.#dispatch();
  }

  /** Resolves when everything given has arrived. @throws the first failure */
  async flush(): Promise<void> {
    this.#addPendingZeros();
    if (this.#body.buffers.length > 0) await this.#dispatch();
    await Promise.all(this.#running);
    this.#throwFailure();
  }

  #addZeros(header: ExtentHeader, map: BlockMap): void {
    const last = this.#zeros?.header;
    const isNext =
      last?.diskIndex === header.diskIndex && last.offsetBytes + last.lengthBytes === header.offsetBytes;
    if (last && isNext && last.lengthBytes < zeroBytesAtMost) {
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
    this.#add(header, undefined, () => map.clear(header.offsetBytes, header.lengthBytes));
  }

  #add(header: ExtentHeader, data: Buffer | undefined, onAcknowledged: () => void): void {
    const bytes = Buffer.alloc(extentHeaderBytes);
    writeExtentHeader(bytes, 0, header);
    this.#body.buffers.push(bytes);
    if (data) this.#body.buffers.push(data);
    this.#body.bytes += bytes.length + (data?.length ?? 0);
    this.#body.acknowledged.push(onAcknowledged);
  }

  async #dispatch(): Promise<void> {
    while (this.#running.size >= bodiesAtOnce) await Promise.race(this.#running);
    this.#throwFailure();
    const body = this.#body;
    this.#body = { buffers: [], bytes: 0, acknowledged: [] };
    const running = this.#post(body).then(
      () => void this.#running.delete(running),
      (error: unknown) => {
        this.#failure ??= error;
        this.#running.delete(running);
      },
    );
    this.#running.add(running);
  }

  /** Tries again while the process server is busy or away; what it has already does no harm there. */
  async #post(body: Body): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#connection.post({
          path: this.#path,
          body: undefined,
          buffers: body.buffers,
          headers: { 'secondsite-progress': JSON.stringify(this.#progress()) },
          answer: ExtentsAcknowledged,
          signal: this.#signal,
        });
        break;
      } catch (error) {
        if (!(error instanceof DomainError) || !isRetryable(error.fault) || attempt >= 5) throw error;
        await backOff(attempt, this.#signal);
      }
    }
    for (const note of body.acknowledged) note();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function hashesOf(piece: Piece, run: Piece['runs'][number]): Uint8Array {
  const from = (run.startBytes / HASH_BLOCK_BYTES) * HASH_BYTES;
  return piece.hashes.subarray(from, from + Math.ceil(run.lengthBytes / HASH_BLOCK_BYTES) * HASH_BYTES);
}
