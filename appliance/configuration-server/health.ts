import { readFileSync } from 'node:fs';
import { cpus, freemem, loadavg, totalmem } from 'node:os';
import type { ProcessServerHealth } from '../../shared/wire/check-in.ts';

type MachineHealth = Pick<
  ProcessServerHealth,
  'cpuPercent' | 'memoryTotalBytes' | 'memoryAvailableBytes' | 'systemLoad'
>;

interface CpuTimes {
  busy: number;
  total: number;
}

/** Measures the machine: the processors since the last measurement, memory and load as they are. */
export class HealthMeter {
  #last = readCpuTimes();
  #cpuPercent = 0;

  measure(): MachineHealth {
    const now = readCpuTimes();
    const total = now.total - this.#last.total;
    if (total > 0) {
      const percent = (100 * (now.busy - this.#last.busy)) / total;
      this.#cpuPercent = Math.round(10 * Math.min(100, Math.max(0, percent))) / 10;
      this.#last = now;
    }
    return {
      cpuPercent: this.#cpuPercent,
      memoryTotalBytes: totalmem(),
      memoryAvailableBytes: findAvailableBytes() ?? freemem(),
      systemLoad: loadavg()[0] ?? 0,
    };
  }
}

function readCpuTimes(): CpuTimes {
  let busy = 0;
  let idle = 0;
  for (const { times } of cpus()) {
    busy += times.user + times.nice + times.sys + times.irq;
    idle += times.idle;
  }
  return { busy, total: busy + idle };
}

/** What programs could still get, caches given up: free memory alone makes every busy Linux machine look full. */
function findAvailableBytes(): number | undefined {
  try {
    const kibibytes = /^MemAvailable:\s+(\d+) kB$/mu.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}
