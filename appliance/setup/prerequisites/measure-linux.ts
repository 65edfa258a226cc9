/** What Linux tells of its machine, read from files below a root folder. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, realpathSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { AdapterFact, DiskFact, MachineFacts, ServerRole, SpaceFact } from './machine-facts.ts';
import { serverPrograms } from './profile.ts';

const sectorBytes = 512;

/** Name and version from /etc/os-release. */
export function readOperatingSystem(root = '/'): MachineFacts['os'] {
  const release = readText(join(root, 'etc/os-release'));
  const field = (name: string): string =>
    new RegExp(`^${name}="?([^"\\n]*)"?$`, 'mu').exec(release)?.[1] ?? '';
  return {
    id: field('ID') || 'unknown',
    version: field('VERSION_ID'),
    name: field('PRETTY_NAME') || 'Linux',
  };
}

/** Whole disks: what has hardware behind it, can't be taken out and is not empty. */
export function readDisks(root = '/'): DiskFact[] {
  const folder = join(root, 'sys/block');
  return listNames(folder)
    .filter((name) => listNames(join(folder, name)).includes('device'))
    .filter((name) => readText(join(folder, name, 'removable')).trim() !== '1')
    .map((name) => ({ name, sizeBytes: Number(readText(join(folder, name, 'size')).trim()) * sectorBytes }))
    .filter(({ sizeBytes }) => sizeBytes > 0);
}

/** Programs that run on the machine and make it a directory, web or hypervisor server. */
export function readServerRoles(root = '/'): ServerRole[] {
  const folder = join(root, 'proc');
  const programs = new Set(
    listNames(folder)
      .filter((name) => /^\d+$/u.test(name))
      .map((name) => readText(join(folder, name, 'comm')).trim()),
  );
  return [...programs].toSorted().flatMap((program) => {
    const role = program.startsWith('qemu-system') ? 'hypervisor' : serverPrograms[program];
    return role === undefined ? [] : [{ role, program }];
  });
}

/** Whether the machine is a VMware virtual machine. */
export function readIsVMware(root = '/'): boolean {
  return readText(join(root, 'sys/class/dmi/id/sys_vendor')).startsWith('VMware');
}

/** Names of the cards that the default routes go through. */
export function readRoutedAdapters(root = '/'): string[] {
  const rows = readText(join(root, 'proc/net/route')).split('\n').slice(1);
  const names = rows.map((row) => row.split('\t')).filter((row) => row[1] === '00000000');
  return [...new Set(names.map((row) => row[0] ?? '').filter(Boolean))];
}

/** The driver of a network card; empty where it has none of its own, like a container's. */
export function readDriver(adapter: string, root = '/'): string {
  try {
    return basename(realpathSync(join(root, 'sys/class/net', adapter, 'device/driver')));
  } catch {
    return '';
  }
}

const IpAnswer = z.array(
  z.object({
    ifname: z.string().optional(),
    addr_info: z
      .array(
        z.object({
          local: z.string().optional(),
          scope: z.string().optional(),
          dynamic: z.boolean().optional(),
        }),
      )
      .default([]),
  }),
);

/** The cards that reach other machines, with where their addresses come from. */
export async function measureAdapters(): Promise<AdapterFact[]> {
  const answer = await readIp();
  return readRoutedAdapters().map((name) => {
    const addresses =
      answer?.find(({ ifname }) => ifname === name)?.addr_info.filter(({ scope }) => scope === 'global') ??
      [];
    return {
      name,
      driver: readDriver(name),
      addresses: addresses.flatMap(({ local }) => (local === undefined ? [] : [local])),
      isDynamic: answer === undefined ? undefined : addresses.some(({ dynamic }) => dynamic === true),
    };
  });
}

async function readIp(): Promise<z.infer<typeof IpAnswer> | undefined> {
  try {
    const { stdout } = await promisify(execFile)('ip', ['-json', '-4', 'address', 'show'], {
      timeout: 5_000,
    });
    return IpAnswer.parse(JSON.parse(stdout));
  } catch {
    return undefined; // iproute2 is not there: the check says that it could not be measured
  }
}

/** Room at a path that may not be there yet: that of the nearest folder above which is. */
export function measureSpace(path: string): SpaceFact {
  const folder = nearestFolder(path);
  const { bsize, bavail } = statfsSync(folder);
  return { path, freeBytes: bsize * bavail, disk: diskOf(folder) };
}

/** The roomiest file system that lies on none of these disks. */
export function measureRetention(otherThan: readonly (string | undefined)[]): SpaceFact | undefined {
  const mounts = readText('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith('/'))
    .map((path) =>
      path.replaceAll(/\\([0-7]{3})/gu, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    );
  return mounts
    .flatMap((path) => {
      const disk = diskOf(path);
      return disk === undefined || otherThan.includes(disk) ? [] : [measureSpace(path)];
    })
    .reduce<SpaceFact | undefined>(
      (best, next) => (best && best.freeBytes >= next.freeBytes ? best : next),
      undefined,
    );
}

/** The whole disk below a folder's file system, through partitions and device mapper. */
export function diskOf(folder: string): string | undefined {
  try {
    const { dev } = statSync(folder);
    // glibc's makedev: the major number's low 12 bits at 8, the minor's low byte at 0 and the rest at 20.
    const major = Math.floor(dev / 256) % 4096;
    const minor = (dev % 256) + Math.floor(dev / 2 ** 20) * 256;
    return wholeDisk(realpathSync(`/sys/dev/block/${major}:${minor}`));
  } catch {
    return undefined; // tmpfs, overlay and their like lie on no disk
  }
}

function wholeDisk(device: string): string | undefined {
  const below = listNames(join(device, 'slaves'))[0];
  if (below !== undefined) return wholeDisk(realpathSync(join(device, 'slaves', below)));
  const isPartition = listNames(device).includes('partition');
  return basename(isPartition ? dirname(device) : device);
}

function nearestFolder(path: string): string {
  try {
    return statSync(path).isDirectory() ? path : dirname(path);
  } catch {
    return nearestFolder(dirname(path));
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
