import { statSync } from 'node:fs';
import { DomainError } from '../../shared/fault.ts';
import type { AgentDisk } from '../../shared/wire/agent.ts';
import type { DiskRef } from '../../shared/wire/command.ts';
import type { DiskSource } from './disk-source.ts';
import { ImageFile } from './image-file.ts';
import { inspectBlockDevice } from './linux/block-device.ts';
import { diskIdOf, findDisks, listSystemDisks, type FoundDisk } from './linux/find-disks.ts';
import { LinuxBlockDevice } from './linux/linux-block-device.ts';

/** The agent's disks as they are now: what to tell of each, and those that can be read. */
export interface OpenDisks {
  reports: (AgentDisk & { path?: string })[];
  sources: Map<string, DiskSource>;
}

/** Which disks an agent has. */
export interface DiskChoice {
  /** Disk id to path. */
  given: ReadonlyMap<string, string>;
  /** Whether it looks for others that are wanted among the disks of its machine. */
  looks: boolean;
}

/** The disks of an agent: block devices of this machine, whose writes it follows, and image files. */
export class AgentDisks {
  readonly looks: boolean;
  readonly #given: ReadonlyMap<string, string>;
  readonly #devices = new Map<string, LinuxBlockDevice>();
  #wanted = new Map<string, DiskRef>();

  constructor({ given, looks }: DiskChoice) {
    this.#given = given;
    this.looks = looks;
  }

  /** Which disks the process server asks for. */
  want(disks: readonly DiskRef[]): void {
    this.#wanted = new Map(disks.map((disk) => [disk.diskId, disk]));
  }

  /** Looks at the disks anew: a path that was wrong may be right by now. A device that is as it was goes on being followed. */
  look(): OpenDisks {
    const sources = new Map<string, DiskSource>();
    const reports = this.#find().map((found): OpenDisks['reports'][number] => {
      if ('fault' in found) return found;
      const { diskId, path } = found;
      try {
        const source = isBlockDevice(path) ? this.#device(diskId, path) : new ImageFile(diskId, path);
        sources.set(diskId, source);
        const { sizeBytes } = source;
        if (!(source instanceof LinuxBlockDevice)) return { diskId, path, sizeBytes };
        return { diskId, path, sizeBytes, sectorBytes: source.device.sectorBytes };
      } catch (error) {
        if (error instanceof DomainError) return { diskId, path, fault: error.fault };
        throw error;
      }
    });
    return { reports, sources };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#devices.values()].map((device) => device.close()));
    this.#devices.clear();
  }

  #find(): FoundDisk[] {
    const given = [...this.#given].map(([diskId, path]) => ({ diskId, path }));
    const others = [...this.#wanted.values()].filter(({ diskId }) => !this.#given.has(diskId));
    if (!this.looks) return given;
    const paths = new Set(this.#given.values());
    const free = listSystemDisks().filter(({ path }) => !paths.has(path));
    const found = findDisks(others, free);
    for (const disk of found) if ('path' in disk) paths.add(disk.path);
    // Of a physical machine nobody but the agent knows the disks: each is told under its hardware's name.
    const rest = free.flatMap(({ path, hardwareId }) =>
      paths.has(path) || hardwareId === '' ? [] : [{ diskId: diskIdOf(hardwareId), path }],
    );
    return [...given, ...found, ...rest];
  }

  #device(diskId: string, path: string): LinuxBlockDevice {
    const known = this.#devices.get(diskId);
    const { number, sizeBytes } = inspectBlockDevice(path);
    if (known?.device.number === number && known.sizeBytes === sizeBytes) return known;
    // A cycle that still reads it fails, and the next one begins with the device as it is now.
    known?.close().catch(() => {});
    const device = new LinuxBlockDevice(diskId, path);
    this.#devices.set(diskId, device);
    return device;
  }
}

function isBlockDevice(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isBlockDevice() === true;
}
