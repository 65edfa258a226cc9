import { DomainError } from '../../shared/fault.ts';
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

/** Sends what a live capture reads, and keeps the maps true: blocks around copied pages are no longer known. */
export function sinkOf(
  sender: ExtentSender,
  devices: readonly LinuxBlockDevice[],
  maps: readonly BlockMap[],
): PieceSink {
  return {
    send: async (diskIndex, piece) => {
      const [device, map] = [devices[diskIndex], maps[diskIndex]];
      if (!device || !map) throw new Error(`There is no disk ${diskIndex} in the item.`);
      const { offsetBytes, lengthBytes, hashes, runs } = piece;
      if (hashes.length > 0 || runs.length === 0) {
        if (offsetBytes === 0) device.staleHashes.clear();
        return sender.send(diskIndex, piece, map);
      }
      const first = device.staleHashes.forget(offsetBytes, lengthBytes);
      map.forget(first, offsetBytes + lengthBytes - first);
      return sender.send(diskIndex, piece, noNotes);
    },
    flush: () => sender.flush(),
  };
}

/** Notes in the maps what is known of blocks that were read again since the last point. */
export function confirmHashes(devices: readonly LinuxBlockDevice[], maps: readonly BlockMap[]): void {
  for (const [at, { staleHashes }] of devices.entries())
    staleHashes.confirm((offsetBytes, hash) => maps[at]?.write(offsetBytes, hash));
}

/** Reads again what the maps don't know, for the next point. Not worth a failure: what is not known is sent again. */
export async function refreshHashes(
  devices: readonly LinuxBlockDevice[],
  signal: AbortSignal,
): Promise<void> {
  for (const { staleHashes, reader } of devices) await staleHashes.refresh(reader, signal).catch(() => {});
}
