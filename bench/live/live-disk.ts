import { randomBytes, randomInt } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { KiB, MiB } from '../../shared/bytes.ts';
import { run, type LoopDisk, type Workshop } from '../../test/live-disks/loop-disk.ts';
import { makeMixedImage } from '../image.ts';
import type { BenchDisk } from '../site.ts';

const pageBytes = 4 * KiB;
/** What a file system keeps for itself of a disk. */
const ownPart = 0.12;

/** A mounted file system on a loop device. */
export interface LiveDisk extends BenchDisk {
  loop: LoopDisk;
  /** Where it is mounted. */
  folder: string;
}

/** An empty file system. Nothing of it is left to be written later by the kernel. */
export function makeLiveDisk(
  workshop: Workshop,
  name: string,
  type: 'ext4' | 'xfs',
  sizeBytes: number,
): LiveDisk {
  const loop = workshop.disk(name, sizeBytes);
  if (type === 'ext4') {
    run('mkfs.ext4', ['-qF', '-m', '0', '-E', 'lazy_itable_init=0,lazy_journal_init=0', loop.path]);
  } else loop.format('xfs');
  return { diskId: name, path: loop.path, sizeBytes, loop, folder: loop.mount() };
}

/** A file system that is full of one file: 30 % holes, 10 % random, the rest files of this machine. */
export function makeMixedDisk(workshop: Workshop, sizeBytes: number): LiveDisk {
  const disk = makeLiveDisk(workshop, 'mixed', 'ext4', sizeBytes);
  makeMixedImage(mixedFile(disk), Math.floor((sizeBytes * (1 - ownPart)) / MiB) * MiB);
  run('sync', ['--file-system', disk.folder]);
  return disk;
}

/** Writes random bytes to 1 % of the disk's pages, at random places that are no holes; gives what the disk was written. */
export function writePages(disk: LiveDisk): number {
  const before = sectorsWritten(disk);
  const path = mixedFile(disk);
  const pages = Math.floor(statSync(path).size / pageBytes);
  const chosen = new Set<number>();
  while (chosen.size < Math.round(disk.sizeBytes / pageBytes / 100)) {
    const page = randomInt(pages);
    if (!isHole(page * pageBytes)) chosen.add(page);
  }
  const file = openSync(path, 'r+');
  for (const page of chosen) writeSync(file, randomBytes(pageBytes), 0, pageBytes, page * pageBytes);
  fsyncSync(file);
  closeSync(file);
  run('sync', ['--file-system', disk.folder]);
  return (sectorsWritten(disk) - before) * 512;
}

function mixedFile({ folder }: LiveDisk): string {
  return join(folder, 'mixed');
}

/** As `makeMixedImage` lays them out: of ten pieces of 8 MiB, three. */
function isHole(offsetBytes: number): boolean {
  return [2, 5, 8].includes(Math.floor(offsetBytes / (8 * MiB)) % 10);
}

/** Of /sys/block/NAME/stat, the seventh field: https://docs.kernel.org/block/stat.html */
function sectorsWritten({ path }: LiveDisk): number {
  const stat = readFileSync(`/sys/block/${basename(path)}/stat`, 'latin1');
  return Number(stat.trim().split(/\s+/u)[6]);
}
