import type { ChangedRun } from './read-worker.ts';

/** A piece of a disk with the runs of it that differ from what was known. Give it back with `release`. */
export interface Piece {
  offsetBytes: number;
  lengthBytes: number;
  /** Valid until `release`. A run that is packed has its zstd frame here in place of its own bytes. */
  bytes: Buffer;
  hashes: Uint8Array;
  runs: ChangedRun[];
  release: () => void;
}

/**
 * A disk that can be read as it was at one moment. Offsets and lengths are multiples of 512.
 */
export interface DiskSource {
  readonly diskId: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** Something that changes whenever the content may have changed; never twice the same just after it did. @throws DomainError RemoteFailure */
  stamp(): string;
  /**
   * Reads the whole disk in order and tells what differs from `known`.
   *
   * @param known gives the hashes of the blocks of a range, as a BlockMap does
   * Pieces that are not released keep the reading back; a release after the end does no harm.
   *
   * @throws DomainError RemoteFailure when the disk can't be read, or the signal's reason
   */
  compare(
    known: (offsetBytes: number, lengthBytes: number) => Uint8Array,
    signal: AbortSignal,
  ): AsyncIterable<Piece>;
}
