import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DomainError } from '../../../shared/fault.ts';

/** sysfs counts in these, whatever the device's own sectors are. */
export const sysfsSectorBytes = 512;

/** A whole disk or a partition that can be followed. */
export interface BlockDevice {
  path: string;
  /** As the kernel calls it: sda, sda1, nvme0n1p2, loop3. */
  name: string;
  /** `major:minor`. */
  number: string;
  kind: 'disk' | 'partition';
  /** The whole disk; its requests are what the kernel traces, a partition's too, with the disk's own sectors. */
  disk: { name: string; major: number; minor: number };
  /** Where the device begins on its disk. */
  startBytes: number;
  sizeBytes: number;
  /** Its logical sectors: 512, or 4096 on disks that offer nothing smaller. */
  sectorBytes: number;
  /** Itself, and its partitions when it is a disk. */
  parts: { name: string; number: string; startBytes: number; sizeBytes: number }[];
}

const unfit: [pattern: RegExp, what: string][] = [
  [/^dm-/u, 'a device-mapper device (LVM, dm-crypt, multipath)'],
  [/^md/u, 'a software RAID (md)'],
  [/^zram/u, 'compressed memory (zram)'],
  [/^nbd/u, 'a network block device (NBD)'],
  [/^drbd/u, 'a replicated device (DRBD)'],
  [/^bcache/u, 'a cached device (bcache)'],
  [/^(?:sr|fd)\d/u, 'a removable medium'],
  [/^ram\d/u, 'a RAM disk'],
];

/**
 * Tells what device a path is.
 *
 * @throws DomainError NotSupported when its writes can't be followed; RemoteFailure when it can't be looked at
 */
export function inspectBlockDevice(path: string): BlockDevice {
  const number = numberOf(path);
  const folder = realpathSync(`/sys/dev/block/${number}`);
  const name = basename(folder);
  const isPartition = existsSync(join(folder, 'partition'));
  const diskFolder = isPartition ? dirname(folder) : folder;
  requireFollowable(path, basename(diskFolder), diskFolder);
  const startBytes = isPartition ? readSectors(folder, 'start') : 0;
  const device: BlockDevice = {
    path,
    name,
    number,
    kind: isPartition ? 'partition' : 'disk',
    disk: { name: basename(diskFolder), ...splitNumber(readText(diskFolder, 'dev')) },
    startBytes,
    sizeBytes: readSectors(folder, 'size'),
    sectorBytes: Number(readText(join(diskFolder, 'queue'), 'logical_block_size')),
    parts: [{ name, number, startBytes: 0, sizeBytes: readSectors(folder, 'size') }],
  };
  if (device.sizeBytes === 0) throw unusable(path, 'it has no medium, or no bytes');
  if (!isPartition) device.parts.push(...partitionsOf(folder));
  for (const part of device.parts) requireUnheld(path, part.name, holdersOf(folder, part.name));
  return device;
}

/** `major:minor` of a path that is a block device. @throws DomainError RemoteFailure */
function numberOf(path: string): string {
  try {
    const stat = statSync(path, { bigint: true });
    if (!stat.isBlockDevice()) throw unusable(path, 'it is not a block device');
    return numberText(stat.rdev);
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw unusable(path, `looking at it gives ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** A device number of stat as `major:minor`: glibc spreads both over 64 bits. */
export function numberText(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffff_ff00n);
  return `${major}:${minor}`;
}

function requireFollowable(path: string, name: string, folder: string): void {
  const what = unfit.find(([pattern]) => pattern.test(name))?.[1];
  if (what !== undefined) throw notFollowed(path, `it is ${what}`);
  if (!existsSync(join(folder, 'mq')))
    throw notFollowed(
      path,
      `the driver of ${name} has no request queue, so that the kernel traces no requests`,
    );
}

/** Something that keeps the device for itself decides when it writes: its file systems would not be found. */
function requireUnheld(path: string, name: string, holders: string[]): void {
  if (holders.length === 0) return;
  throw notFollowed(path, `${name} is part of ${holders.join(', ')} (LVM, RAID or encryption)`);
}

function notFollowed(path: string, reason: string): DomainError {
  return new DomainError({
    code: 'NotSupported',
    message: `The disk ${path} can not be protected while it runs: ${reason}.`,
    target: path,
    recommendedAction: 'Protect a whole disk or a partition with a file system directly on it.',
  });
}

function unusable(path: string, reason: string): DomainError {
  return new DomainError({
    code: 'RemoteFailure',
    message: `The disk ${path} can not be protected: ${reason}.`,
    target: path,
    recommendedAction: "Correct the path, then start the agent again with '--disk ID=PATH'.",
  });
}

function partitionsOf(folder: string): BlockDevice['parts'] {
  return readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((part) => existsSync(join(part, 'partition')))
    .map((part) => ({
      name: basename(part),
      number: readText(part, 'dev'),
      startBytes: readSectors(part, 'start'),
      sizeBytes: readSectors(part, 'size'),
    }));
}

function holdersOf(folder: string, name: string): string[] {
  const own = basename(folder) === name ? folder : join(folder, name);
  const path = join(own, 'holders');
  return existsSync(path) ? readdirSync(path) : [];
}

function readSectors(folder: string, file: string): number {
  return Number(readText(folder, file)) * sysfsSectorBytes;
}

function readText(folder: string, file: string): string {
  return readFileSync(join(folder, file), 'latin1').trim();
}

function splitNumber(number: string): { major: number; minor: number } {
  const [major = 0, minor = 0] = number.split(':').map(Number);
  return { major, minor };
}
