import { statSync } from 'node:fs';
import { DomainError } from '../../shared/fault.ts';
import type { AgentDisk } from '../../shared/wire/agent.ts';
import type { DiskSource } from './disk-source.ts';
import { ImageFile } from './image-file.ts';
import { inspectBlockDevice } from './linux/block-device.ts';
import { LinuxBlockDevice } from './linux/linux-block-device.ts';

/** The agent's disks as they are now: what to tell of each, and those that can be read. */
export interface OpenDisks {
  reports: AgentDisk[];
  sources: Map<string, DiskSource>;
}

/** The disks that an agent was given: block devices of this machine, whose writes it follows, and image files. */
export class AgentDisks {
  readonly #paths: ReadonlyMap<string, string>;
  readonly #devices = new Map<string, LinuxBlockDevice>();

  /** @param paths disk id to path */
  constructor(paths: ReadonlyMap<string, string>) {
    this.#paths = paths;
  }

  /** Looks at the disks anew: a path that was wrong may be right by now. A device that is as it was goes on being followed. */
  look(): OpenDisks {
    const sources = new Map<string, DiskSource>();
    const reports = [...this.#paths].map(([diskId, path]): AgentDisk => {
      try {
        const source = isBlockDevice(path) ? this.#device(diskId, path) : new ImageFile(diskId, path);
        sources.set(diskId, source);
        const { sizeBytes } = source;
        if (!(source instanceof LinuxBlockDevice)) return { diskId, sizeBytes };
        return { diskId, sizeBytes, sectorBytes: source.device.sectorBytes };
      } catch (error) {
        if (error instanceof DomainError) return { diskId, fault: error.fault };
        throw error;
      }
    });
    return { reports, sources };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#devices.values()].map((device) => device.close()));
    this.#devices.clear();
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
