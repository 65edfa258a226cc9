/**
 * Where a restore writes one disk. Three steps, so that several processes can write parts of one target:
 * `prepare` once, `write` any number of times (anywhere, at the same time, the same bytes twice), `finish` once.
 * Each step may be repeated after a crash; what was not written reads as zeros.
 */
export interface RestoreTarget {
  /** Makes the target for a disk of that size, all zeros; what a former attempt left is dropped. */
  prepare(sizeBytes: number): Promise<void>;
  /** Writes whole sectors. Zeros may be left out. The bytes are the caller's again when it resolves. */
  write(offsetBytes: number, data: Uint8Array): Promise<void>;
  /** Makes what this process wrote durable and lets go of the target. */
  close(): Promise<void>;
  /** Completes the target (footer, final name) when all parts are written. Until then it cannot be used. */
  finish(disk: FinishedDisk): Promise<void>;
}

/** The disk that was restored; the same disk and point always give the same target, byte for byte. */
export interface FinishedDisk {
  sizeBytes: number;
  /** What makes the copy unique: item, point and disk. */
  identity: string;
  /** The point's moment. */
  time: Date;
}
