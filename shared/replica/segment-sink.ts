import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** Where a segment's bytes go, in order. One writer at a time; after a failure the sink is of no more use. */
export interface SegmentSink {
  append(pieces: readonly Uint8Array[]): Promise<void>;
  /** Resolves when all that was appended before the call survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A new file, made with mode 600; it must not exist yet. `at` continues an existing one from that length. */
export async function openFileSink(path: string, at?: number): Promise<SegmentSink> {
  const file = await open(path, at === undefined ? 'wx' : 'r+', 0o600);
  if (at !== undefined) await file.truncate(at);
  return new FileSink(file, at ?? 0);
}

/** Keeps a segment in memory; for small logs and for callers that upload at once. */
export class MemorySink implements SegmentSink {
  readonly #pieces: Uint8Array[] = [];

  append(pieces: readonly Uint8Array[]): Promise<void> {
    this.#pieces.push(...pieces);
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }
}

class FileSink implements SegmentSink {
  readonly #file: FileHandle;
  #position: number;

  constructor(file: FileHandle, position: number) {
    this.#file = file;
    this.#position = position;
  }

  async append(pieces: readonly Uint8Array[]): Promise<void> {
    let rest: Uint8Array[] = pieces.filter((piece) => piece.length > 0);
    while (rest.length > 0) {
      const { bytesWritten } = await this.#file.writev(rest, this.#position);
      this.#position += bytesWritten;
      rest = without(rest, bytesWritten);
    }
  }

  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

function without(pieces: readonly Uint8Array[], written: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = written;
  for (const piece of pieces) {
    if (skip < piece.length) rest.push(piece.subarray(skip));
    skip = Math.max(0, skip - piece.length);
  }
  return rest;
}
