import { compareDisk } from '../compare-disk.ts';
import type { DiskSource, Piece } from '../disk-source.ts';
import { inspectBlockDevice, type BlockDevice } from './block-device.ts';
import { DirectReader, unreadable } from './direct-reader.ts';
import { StaleHashes } from './stale-hashes.ts';
import { WriteTracker } from './write-tracker.ts';

/** A disk or partition of this machine, in use while it is copied. Several of them are of one moment by `captureLive`. */
export class LinuxBlockDevice implements DiskSource {
  readonly diskId: string;
  readonly device: BlockDevice;
  readonly tracker: WriteTracker;
  readonly reader: DirectReader;
  readonly staleHashes: StaleHashes;

  /**
   * @param options.traceKiB memory for the kernel's trace, per CPU
   * @throws DomainError NotSupported when its writes can't be followed; RemoteFailure when it can't be looked at
   */
  constructor(diskId: string, path: string, options: { traceKiB?: number } = {}) {
    this.diskId = diskId;
    this.device = inspectBlockDevice(path);
    this.tracker = new WriteTracker(this.device, options.traceKiB);
    this.reader = new DirectReader(path);
    this.staleHashes = new StaleHashes(this.device.sizeBytes);
  }

  get path(): string {
    return this.device.path;
  }

  get sizeBytes(): number {
    return this.device.sizeBytes;
  }

  stamp(): string {
    return `${this.tracker.lost.times}-${this.tracker.writtenBytes}`;
  }

  compare(
    known: (offsetBytes: number, lengthBytes: number) => Uint8Array,
    signal: AbortSignal,
  ): AsyncIterable<Piece> {
    const { path, sizeBytes } = this;
    return compareDisk({ path, sizeBytes, direct: true, unreadable }, known, signal);
  }

  /** Ends the tracking; the next cycle compares the whole disk. */
  async close(): Promise<void> {
    this.tracker.close();
    await this.reader.close();
  }
}
