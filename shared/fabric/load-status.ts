import { type ProcessServerHealth } from '../wire/check-in.ts';

/**
 * Site Recovery's traffic lights of a process server.
 * Source: https://learn.microsoft.com/azure/site-recovery/vmware-physical-azure-monitor-process-server
 */
type Light = 'Green' | 'Yellow' | 'Red';

type LoadLights = { cpu: Light; memory: Light; space: Light; system: Light };

/** No word for this long: critical. */
export const silentAfterMs = 15 * 60_000;

export function lightsOf(health: ProcessServerHealth): LoadLights {
  const memoryUsed = usedPercent(health.memoryTotalBytes, health.memoryAvailableBytes);
  const cacheFree = 100 - usedPercent(health.cacheTotalBytes, health.cacheFreeBytes);
  const cpu = above(health.cpuPercent);
  const memory = above(memoryUsed);
  return { cpu, memory, space: freeSpace(cacheFree), system: worst([cpu, memory]) };
}

function worst(lights: readonly Light[]): Light {
  if (lights.includes('Red')) return 'Red';
  return lights.includes('Yellow') ? 'Yellow' : 'Green';
}

function above(percent: number): Light {
  if (percent > 95) return 'Red';
  return percent > 80 ? 'Yellow' : 'Green';
}

function freeSpace(percent: number): Light {
  if (percent < 25) return 'Red';
  return percent < 30 ? 'Yellow' : 'Green';
}

function usedPercent(total: number, free: number): number {
  return total === 0 ? 0 : ((total - free) / total) * 100;
}
