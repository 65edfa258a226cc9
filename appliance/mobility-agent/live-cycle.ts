import { DomainError } from '../../shared/fault.ts';
import { HASH_BLOCK_BYTES } from '../../shared/replica/hash-blocks.ts';
import type { BlockMap } from './block-map.ts';
import type { DiskSource } from './disk-source.ts';
import type { BlockNotes, ExtentSender } from './extent-sender.ts';
import type { Hooks } from './linux/hooks.ts';
import { LinuxBlockDevice } from './linux/linux-block-device.ts';
import type { PieceSink } from './linux/live-capture.ts';

/** How points of block devices in use are made. */
export interface LivePolicy {
  /** How long file systems may be frozen. */
  freezeLimitMs: number;
  /** What to do when the disks can't be had of one moment: mark the point, or make none. */
  whenNotConsistent: 'mark' | 'refuse';
  /** Scripts around the freeze of points that are to be consistent for applications. */
  hooks: Hooks | undefined;
}

/** The sources as devices; undefined when they are image files. @throws DomainError NotSupported for a mixture */
export function liveDevices(sources: readonly DiskSource[]): LinuxBlockDevice[] | undefined {
  const devices = sources.filter((source) => source instanceof LinuxBlockDevice);
  if (devices.length === 0) return undefined;
  if (devices.length === sources.length) return devices;
  throw new DomainError({
    code: 'NotSupported',
    message: 'A machine with block devices and image files among its disks can not be had of one moment.',
    recommendedAction: 'Start the agent with one kind of disks only.',
  });
}

const noNotes: BlockNotes = { forget: () => {}, write: () => {}, clear: () => {} };

/** Sends what a live capture reads. Of pieces without hashes the blocks that they touch are no longer known. */
export function sinkOf(sender: ExtentSender, maps: readonly BlockMap[]): PieceSink {
  return {
    send: async (diskIndex, piece) => {
      const map = maps[diskIndex];
      if (!map) throw new Error(`Disk ${diskIndex} of the item has no map.`);
      if (piece.hashes.length > 0 || piece.runs.length === 0) return sender.send(diskIndex, piece, map);
      const first = Math.floor(piece.offsetBytes / HASH_BLOCK_BYTES) * HASH_BLOCK_BYTES;
      map.forget(first, piece.offsetBytes + piece.lengthBytes - first);
      return sender.send(diskIndex, piece, noNotes);
    },
    flush: () => sender.flush(),
  };
}
