import { GiB, KiB } from '../../shared/bytes.ts';
import { whyNotHere } from '../../test/live-disks/loop-disk.ts';
import { median, row } from '../figures.ts';
import { findMissingTools } from '../restic.ts';
import { type Samples } from './figures.ts';
import { findMissingFio } from './fio.ts';
import { measureFreeze, measureOverhead } from './load.ts';
import { measureReplication } from './replication.ts';
import { measureUnchanged } from './unchanged.ts';

/** What every figure has to be. */
const limits: Record<string, { least?: number; most?: number }> = {
  initial_vs_restic: { least: 3 },
  initial_vs_floor: { most: 1.25 },
  delta_vs_restic: { least: 30 },
  delta_bytes_ratio: { most: 1.3 },
  unchanged_64_vs_1: { most: 1.3 },
  restore_vs_restic: { least: 1 },
  restore_ranges_2_vs_1: { least: 1 },
  tracking_overhead: { most: 0.05 },
  freeze_p99_ms: { most: 300 },
  peak_rss_mb: { most: 300 },
};

/** The parts of the bench, each with disks of its own. */
export const liveParts = ['replication', 'unchanged', 'overhead', 'freeze'] as const;
export type LivePart = (typeof liveParts)[number];

/** What to measure. */
export interface LiveBench {
  parts: readonly LivePart[];
  /** Of the mixed disk. */
  sizeGiB: number;
  /** Of the sparse disk beside one of 1 GiB. */
  largeGiB: number;
  runs: number;
  /** Points made under load. */
  points: number;
  json: boolean;
}

/**
 * Measures the protection of block devices in use: loop devices with ext4 and xfs, on real processes and storage on disk.
 *
 * @returns the exit code
 */
export async function benchLive(options: LiveBench): Promise<number> {
  const missing = whyNotHere() ?? findMissingTools() ?? findMissingFio();
  if (missing !== undefined) {
    process.stderr.write(`${missing}\n`);
    return 1;
  }
  const told: Record<string, number> = {};
  for (const part of options.parts) {
    process.stderr.write(`Measuring ${part}.\n`);
    const { figures, details } = await measure(part, options);
    for (const [name, values] of Object.entries(details)) process.stdout.write(lineOf(name, values));
    for (const [name, values] of Object.entries(figures)) {
      const figure = name === 'peak_rss_mb' ? Math.max(told[name] ?? 0, ...values) : median(values);
      told[name] = Math.round(figure * 1_000) / 1_000;
      process.stdout.write(lineOf(name, values));
    }
  }
  process.stdout.write(`\n${tableOf(told)}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify(told)}\n`);
  return 0;
}

function measure(part: LivePart, options: LiveBench): Promise<Samples> {
  const { runs, largeGiB, points } = options;
  const sizeBytes = Math.round((options.sizeGiB * GiB) / (64 * KiB)) * 64 * KiB;
  if (part === 'replication') return measureReplication({ sizeBytes, runs });
  if (part === 'unchanged') return measureUnchanged({ largeGiB, runs });
  if (part === 'overhead') return measureOverhead({ seconds: 5, runs });
  return measureFreeze({ points });
}

/** Every sample, as long as there are few. */
function lineOf(name: string, values: readonly number[]): string {
  const all = values.length > 12 ? '' : `  (${values.map(short).join(', ')})`;
  return `  ${name.padEnd(24)}${short(median(values)).padStart(10)} of ${values.length}${all}\n`;
}

function tableOf(told: Record<string, number>): string {
  const lines = Object.entries(told).map(([name, value]) => {
    const { least, most } = limits[name] ?? {};
    const wanted = least === undefined ? `at most ${most}` : `at least ${least}`;
    const holds = value >= (least ?? -Infinity) && value <= (most ?? Infinity);
    return row([name.padEnd(24), short(value), wanted, holds ? 'holds' : 'MISSED']);
  });
  return lines.join('\n');
}

function short(value: number): string {
  return value >= 1_000 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
