import { DomainError } from '../../shared/fault.ts';
import type { AgentDisk } from '../../shared/wire/agent.ts';
import type { DiskSource } from './disk-source.ts';
import { ImageFile } from './image-file.ts';

/** The agent's disks as they are now: what to tell of each, and those that can be read. */
export interface OpenDisks {
  reports: AgentDisk[];
  sources: Map<string, DiskSource>;
}

/** Looks at the disks. @param paths disk id to path */
export function openDisks(paths: ReadonlyMap<string, string>): OpenDisks {
  const sources = new Map<string, DiskSource>();
  const reports = [...paths].map(([diskId, path]): AgentDisk => {
    try {
      const source = new ImageFile(diskId, path);
      sources.set(diskId, source);
      return { diskId, sizeBytes: source.sizeBytes };
    } catch (error) {
      if (error instanceof DomainError) return { diskId, fault: error.fault };
      throw error;
    }
  });
  return { reports, sources };
}
