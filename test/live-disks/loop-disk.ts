/**
 * Real block devices for tests: loop devices over sparse files, with file systems on them. Whatever a test leaves behind
 * (it failed, or was killed) is taken apart by the next one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const prefix = 'secondsite-live-';

/** A folder for the disks of one test run; its name tells whose it is. */
export class Workshop {
  readonly folder: string;
  readonly disks: LoopDisk[] = [];

  constructor() {
    removeOrphans();
    this.folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  }

  /** A new disk of zeros. */
  disk(name: string, sizeBytes: number): LoopDisk {
    const disk = LoopDisk.create(join(this.folder, name), sizeBytes);
    this.disks.push(disk);
    return disk;
  }

  /** An existing image as a disk. */
  open(image: string): LoopDisk {
    const disk = LoopDisk.open(image);
    this.disks.push(disk);
    return disk;
  }

  close(): void {
    for (const disk of this.disks.splice(0).toReversed()) disk.close();
    removeFolder(this.folder);
  }
}

/** A loop device, perhaps with a partition and a mounted file system. */
export class LoopDisk {
  readonly image: string;
  readonly path: string;
  #mounts: string[] = [];

  private constructor(image: string) {
    this.image = image;
    this.path = run('losetup', ['--find', '--show', image]).trim();
  }

  static create(image: string, sizeBytes: number): LoopDisk {
    run('truncate', ['--size', String(sizeBytes), image]);
    return new LoopDisk(image);
  }

  static open(image: string): LoopDisk {
    return new LoopDisk(image);
  }

  /** Makes a partition known to the kernel and gives its path. */
  addPartition(number: number, firstSector: number, sectors: number): string {
    run('addpart', [this.path, String(number), String(firstSector), String(sectors)]);
    return `${this.path}p${number}`;
  }

  format(type: 'ext4' | 'xfs' | 'vfat', path = this.path): void {
    run(`mkfs.${type}`, [...(type === 'vfat' ? [] : [type === 'xfs' ? '-qf' : '-qF']), path]);
  }

  mount(options: string[] = [], path = this.path): string {
    const folder = `${this.image}.mnt${this.#mounts.length}`;
    mkdirSync(folder, { recursive: true });
    run('mount', [...options, path, folder]);
    this.#mounts.push(folder);
    return folder;
  }

  unmount(): void {
    for (const folder of this.#mounts.splice(0).toReversed()) unmount(folder);
  }

  close(): void {
    this.unmount();
    spawnSync('partx', ['--delete', this.path]);
    spawnSync('losetup', ['--detach', this.path]);
  }
}

/** Runs a program to its end. @throws Error with what it said */
export function run(program: string, words: readonly string[]): string {
  return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Why these tests can't run here; undefined when they can. In CI they always can, or fail. */
export function whyNotHere(): string | undefined {
  const needed = ['losetup', 'mkfs.ext4', 'e2fsck', 'mkfs.xfs', 'xfs_repair', 'fsfreeze', 'addpart', 'bash'];
  const missing = needed.filter((program) => spawnSync('which', [program]).status !== 0);
  let reason: string | undefined;
  if (process.getuid?.() !== 0) reason = 'root is needed for loop devices and tracefs';
  else if (missing.length > 0) reason = `${missing.join(', ')} is not installed`;
  else if (!existsSync('/dev/loop-control')) reason = 'the kernel has no loop devices';
  else if (!readFileSync('/proc/filesystems', 'utf8').includes('tracefs'))
    reason = 'the kernel has no tracefs';
  return process.env['CI'] === 'true' ? undefined : reason;
}

function removeOrphans(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = name.startsWith(prefix) ? name.slice(prefix.length).split('-')[0] : undefined;
    if (owner === undefined || existsSync(`/proc/${owner}`)) continue;
    const folder = join(tmpdir(), name);
    for (const mountPoint of mountPointsUnder(folder)) unmount(mountPoint);
    for (const line of run('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']).split('\n')) {
      const [device = '', file = ''] = line.trim().split(/\s+/u);
      if (!file.startsWith(`${folder}/`)) continue;
      spawnSync('partx', ['--delete', device]);
      spawnSync('losetup', ['--detach', device]);
    }
    removeFolder(folder);
  }
}

/** Nothing is deleted through a mount that could not be taken away. */
function removeFolder(folder: string): void {
  if (mountPointsUnder(folder).length === 0) rmSync(folder, { recursive: true, force: true });
}

function mountPointsUnder(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountPoint) => mountPoint.startsWith(`${folder}/`))
    .toReversed();
}

/** Thaws it too: what is frozen can't be unmounted cleanly. */
function unmount(folder: string): void {
  spawnSync('fsfreeze', ['--unfreeze', folder]);
  for (let tries = 0; tries < 5; tries += 1) if (spawnSync('umount', [folder]).status === 0) return;
  spawnSync('umount', ['--lazy', folder]);
}
