import { availableParallelism, release, totalmem, version } from 'node:os';
import { statfsSync } from 'node:fs';
import { parse } from 'node:path';
import type { MachineFacts } from './machine-facts.ts';
import {
  diskOf,
  measureAdapters,
  measureRetention,
  measureSpace,
  readDisks,
  readIsVMware,
  readOperatingSystem,
  readServerRoles,
} from './measure-linux.ts';

/** Measures the machine that this runs on. */
export async function measureMachine(dataFolder: string): Promise<MachineFacts> {
  return process.platform === 'linux' ? measureLinux(dataFolder) : measureElsewhere(dataFolder);
}

async function measureLinux(dataFolder: string): Promise<MachineFacts> {
  const cache = measureSpace(dataFolder);
  const systemDisk = diskOf('/');
  return {
    platform: 'linux',
    os: readOperatingSystem(),
    locale: process.env['LC_ALL'] || process.env['LC_CTYPE'] || process.env['LANG'] || 'C',
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    disks: readDisks(),
    cache,
    systemDisk,
    retention: measureRetention([systemDisk, cache.disk]),
    serverRoles: readServerRoles(),
    isVMware: readIsVMware(),
    adapters: await measureAdapters(),
  };
}

/** Elsewhere only what Node itself knows is measured; the checks say of the rest that it was not. */
function measureElsewhere(dataFolder: string): MachineFacts {
  const { bsize, bavail } = statfsSync(parse(dataFolder).root);
  const isWindows = process.platform === 'win32';
  return {
    platform: 'windows',
    os: { id: isWindows ? 'windows' : process.platform, version: release(), name: version() },
    locale: new Intl.DateTimeFormat().resolvedOptions().locale,
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    disks: undefined,
    cache: { path: dataFolder, freeBytes: bsize * bavail, disk: undefined },
    systemDisk: undefined,
    retention: undefined,
    serverRoles: undefined,
    isVMware: false,
    adapters: undefined,
  };
}
