import { readFileSync, statSync } from 'node:fs';
import { DomainError } from '../../../shared/fault.ts';
import { numberText, type BlockDevice } from './block-device.ts';
import type { Extent } from './dirty-map.ts';

/** One line of /proc/self/mountinfo. */
export interface Mount {
  /** `major:minor` of the file system; not a disk's for those that span devices, such as btrfs. */
  number: string;
  mountPoint: string;
  type: string;
  /** What was mounted; a path for file systems on devices. */
  source: string;
  isReadOnly: boolean;
}

/** Reads /proc/self/mountinfo. */
export function parseMounts(text: string): Mount[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [left = '', right = ''] = line.split(' - ', 2);
      const [, , number = '', , mountPoint = ''] = left.split(' ');
      const [type = '', source = '', options = ''] = right.split(' ');
      const isReadOnly = options.split(',').includes('ro');
      return { number, mountPoint: unescape(mountPoint), type, source: unescape(source), isReadOnly };
    });
}

/**
 * A mount point for each writable file system on the devices. One that is hidden under another mount has none: what is
 * written to it is seen all the same.
 */
export function mountPointsOn(devices: readonly BlockDevice[]): string[] {
  const numbers = new Set(devices.flatMap(({ parts }) => parts.map(({ number }) => number)));
  const found = new Map<string, string>();
  for (const mount of parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'))) {
    const isOurs = numbers.has(mount.number) || numbers.has(numberOfSource(mount.source));
    if (!isOurs || mount.isReadOnly || found.has(mount.number)) continue;
    if (isReachable(mount)) found.set(mount.number, mount.mountPoint);
  }
  return [...found.values()];
}

/** Where the devices' swap areas lie, by device: what is written there matters to nobody after a restart. */
export function swapAreas(device: BlockDevice): Extent[] {
  return readFileSync('/proc/swaps', 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => numberOfSource(unescape(line.split(/\s+/u)[0] ?? '')))
    .flatMap((number) => device.parts.filter((part) => part.number === number))
    .map(({ startBytes, sizeBytes }) => ({ offsetBytes: startBytes, lengthBytes: sizeBytes }));
}

/**
 * A loop device whose file lies on a file system that would be frozen with it would wait for itself.
 *
 * @throws DomainError NotSupported
 */
export function refuseNestedLoops(devices: readonly BlockDevice[]): void {
  const numbers = new Set(devices.flatMap(({ parts }) => parts.map(({ number }) => number)));
  for (const { path, disk } of devices) {
    const file = backingFileOf(disk.name);
    const below = file === undefined ? undefined : numberOfFolder(file);
    if (below === undefined || !numbers.has(below)) continue;
    throw new DomainError({
      code: 'NotSupported',
      message: `The disk ${path} can not be protected together with the disk that its file ${file} lies on.`,
      target: path,
      recommendedAction: 'Leave one of the two out.',
    });
  }
}

function backingFileOf(name: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trimEnd();
  } catch {
    return undefined; // not a loop device
  }
}

function isReachable(mount: Mount): boolean {
  return numberOfFolder(mount.mountPoint) === mount.number;
}

function numberOfFolder(path: string): string | undefined {
  try {
    return numberText(statSync(path, { bigint: true }).dev);
  } catch {
    return undefined;
  }
}

function numberOfSource(source: string): string {
  if (!source.startsWith('/')) return '';
  try {
    const stat = statSync(source, { bigint: true });
    return stat.isBlockDevice() ? numberText(stat.rdev) : '';
  } catch {
    return '';
  }
}

/** Blanks and such are written as \040. */
function unescape(text: string): string {
  return text.replaceAll(/\\(?<octal>[0-7]{3})/gu, (_, octal: string) =>
    String.fromCodePoint(Number.parseInt(octal, 8)),
  );
}
