import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fault } from '../../../shared/fault.ts';
import type { DiskRef } from '../../../shared/wire/command.ts';

/** A disk of the machine as the kernel knows it. */
export interface SystemDisk {
  path: string;
  sizeBytes: number;
  /** What its hardware is called, in lower-case hex digits; VMware gives it the disk's uuid when disk.EnableUUID is set. */
  hardwareId: string;
}

const sectorBytes = 512;
/** Block devices that are no disks of the machine, or are made of its disks. */
const notDisks = /^(?:loop|ram|zram|dm-|md|sr|fd|nbd|rbd|drbd)/u;

/** The disks of this machine. @param sys where sysfs is mounted */
export function listSystemDisks(sys = '/sys'): SystemDisk[] {
  const folder = join(sys, 'block');
  return readdirSync(folder)
    .filter((name) => !notDisks.test(name))
    .map((name) => ({
      path: join('/dev', name),
      sizeBytes: Number(findText(join(folder, name, 'size')) ?? 0) * sectorBytes,
      hardwareId: hardwareIdOf(join(folder, name)),
    }))
    .filter(({ sizeBytes }) => sizeBytes > 0);
}

/** Which disk of the machine a wanted one is, or why none. */
export type FoundDisk = { diskId: string; path: string } | { diskId: string; fault: Fault };

/**
 * Finds wanted disks among those of the machine: by their hardware's name, which is the uuid that vCenter knows them
 * under; else by their size, where just one wanted disk and just one disk of the machine that is left have it.
 */
export function findDisks(wanted: readonly DiskRef[], disks: readonly SystemDisk[]): FoundDisk[] {
  const byName = new Map<string, SystemDisk>();
  for (const { diskId } of wanted) {
    const hex = hexOf(diskId);
    const found = hex.length >= 16 ? disks.find(({ hardwareId }) => hardwareId === hex) : undefined;
    if (found) byName.set(diskId, found);
  }
  const taken = new Set(byName.values());
  const left = disks.filter((disk) => !taken.has(disk));
  return wanted.map(({ diskId, sizeBytes }) => {
    const named = byName.get(diskId);
    if (named) return { diskId, path: named.path };
    const fitting = left.filter((disk) => disk.sizeBytes === sizeBytes);
    const rivals = wanted.filter((other) => other.sizeBytes === sizeBytes && !byName.has(other.diskId));
    const [only] = fitting;
    if (only && fitting.length === 1 && rivals.length === 1) return { diskId, path: only.path };
    return { diskId, fault: notFound({ diskId, sizeBytes }, { fitting, left }) };
  });
}

function notFound(
  { diskId, sizeBytes }: DiskRef,
  { fitting, left }: { fitting: readonly SystemDisk[]; left: readonly SystemDisk[] },
): Fault {
  const what =
    fitting.length === 0
      ? `none of the machine's disks has its uuid or its size of ${sizeBytes} bytes (left are: ${describe(left)})`
      : `${describe(fitting)} could be it, as their size is the same`;
  return {
    code: 'InvalidRequest',
    message: `The mobility agent does not find the disk ${diskId} of the machine: ${what}.`,
    target: diskId,
    recommendedAction:
      'Set disk.EnableUUID to TRUE in the settings of the virtual machine (it has to be off for that), or name the device in "disks" of /etc/secondsite/agent.json and restart the agent.',
  };
}

function describe(disks: readonly SystemDisk[]): string {
  return disks.map(({ path, sizeBytes }) => `${path} (${sizeBytes} bytes)`).join(', ') || 'none';
}

/** SCSI disks say `naa.6000c29…` there, NVMe ones `uuid.…` or `eui.…`. */
function hardwareIdOf(folder: string): string {
  const text = findText(join(folder, 'device', 'wwid')) ?? findText(join(folder, 'wwid')) ?? '';
  return hexOf(text.trim().replace(/^(?:naa|uuid|eui)\./u, ''));
}

/** The id of a disk that nobody has given another: its hardware's name, as a uuid where it is as long as one. */
export function diskIdOf(hardwareId: string): string {
  return hardwareId.length === 32
    ? hardwareId.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5')
    : hardwareId;
}

function hexOf(text: string): string {
  const hex = text.toLowerCase().replaceAll('-', '');
  return /^[0-9a-f]+$/u.test(hex) ? hex : '';
}

function findText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // not every device has it
  }
}
