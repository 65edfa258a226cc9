import { BlobServiceClient } from '@azure/storage-blob';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GiB } from '../shared/bytes.ts';
import { median, round, row } from './figures.ts';
import { blockBytes, compressedBytes, makeMixedImage, rewriteBlocks } from './image.ts';
import { findMissingTools, Restic } from './restic.ts';
import { Site, startStorageProcess } from './site.ts';

type Cycle = 'initial' | 'unchanged' | 'delta';
type Measured = Record<Cycle, { seconds: number; bytes: number }>;

/** A raw disk image. */
interface Image {
  path: string;
  sizeBytes: number;
}

/** One run: both on the same image, into the same storage. */
interface Run {
  secondsite: Measured;
  restic: Measured;
  /** What the changed blocks have when each is compressed alone. */
  changedBytes: number;
  peakMegabytes: number;
}

/**
 * Measures an initial replication, a cycle without changes and one after 1 % of the blocks was rewritten, beside restic.
 * A cycle's time is from asking for the point until its manifest is in the storage; restic's, that of its command.
 *
 * @returns the exit code
 */
export async function benchReplicate(options: {
  sizeGiB: number;
  runs: number;
  json: boolean;
}): Promise<number> {
  const missing = findMissingTools();
  if (missing !== undefined) {
    process.stderr.write(`${missing}\n`);
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'secondsite-bench-'));
  const image = join(folder, 'disk.raw');
  const sizeBytes = Math.round((options.sizeGiB * GiB) / blockBytes) * blockBytes;
  try {
    say(
      `Making an image of ${options.sizeGiB} GiB: 30 % zeros, 10 % random, the rest files of this machine.`,
    );
    makeMixedImage(image, sizeBytes);
    const runs: Run[] = [];
    for (let run = 1; run <= options.runs; run += 1) {
      say(`Run ${run} of ${options.runs}.`);
      runs.push(await measure(join(folder, `run-${run}`), { path: image, sizeBytes }, run % 2 === 0));
    }
    process.stdout.write(tableOf(runs));
    if (options.json) process.stdout.write(`${JSON.stringify(summaryOf(runs))}\n`);
    return 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(folder: string, image: Image, isResticFirst: boolean): Promise<Run> {
  mkdirSync(folder);
  const storage = await startStorageProcess(folder);
  const site = await Site.start(folder, storage.connectionString, [{ diskId: 'disk', ...image }]);
  try {
    const service = BlobServiceClient.fromConnectionString(storage.connectionString);
    const restic = await Restic.create(folder, service, 'restic');
    const secondsite: Partial<Measured> = {};
    const peer: Partial<Measured> = {};
    const both = async (cycle: Cycle): Promise<void> => {
      const ours = async (): Promise<void> => {
        secondsite[cycle] = await (cycle === 'initial' ? site.begin() : site.point());
      };
      const theirs = async (): Promise<void> =>
        void (peer[cycle] = await restic.backUp(image.path, cycle === 'unchanged'));
      for (const measureOne of isResticFirst ? [theirs, ours] : [ours, theirs]) await measureOne();
    };
    await both('initial');
    await both('unchanged');
    const changed = rewriteBlocks(image.path, image.sizeBytes);
    await both('delta');
    return {
      secondsite: secondsite as Measured, // all three were measured above, as were the peer's
      restic: peer as Measured,
      changedBytes: compressedBytes(image.path, changed),
      peakMegabytes: Math.max(...Object.values(site.peakMegabytes())),
    };
  } finally {
    await site.close();
    await storage.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function summaryOf(runs: Run[]): Record<string, number> {
  const faster = (cycle: Cycle): number =>
    round(median(runs.map(({ restic, secondsite }) => restic[cycle].seconds / secondsite[cycle].seconds)));
  return {
    initial_vs_restic: faster('initial'),
    delta_vs_restic: faster('delta'),
    unchanged_vs_restic: faster('unchanged'),
    delta_bytes_ratio: round(
      median(runs.map(({ secondsite, changedBytes }) => secondsite.delta.bytes / changedBytes)),
    ),
    peak_rss_mb: Math.round(Math.max(...runs.map(({ peakMegabytes }) => peakMegabytes))),
  };
}

function tableOf(runs: Run[]): string {
  const of = (who: 'secondsite' | 'restic', cycle: Cycle, what: 'seconds' | 'bytes'): number =>
    median(runs.map((run) => run[who][cycle][what]));
  const cycles: [Cycle, string][] = [
    ['initial', 'initial replication'],
    ['unchanged', 'nothing changed'],
    ['delta', '1 % rewritten'],
  ];
  const summary = summaryOf(runs);
  return [
    row(['', 'Secondsite', 'restic', 'times faster', 'Secondsite MB', 'restic MB']),
    ...cycles.map(([cycle, title]) =>
      row([
        title,
        `${of('secondsite', cycle, 'seconds').toFixed(2)} s`,
        `${of('restic', cycle, 'seconds').toFixed(2)} s`,
        `${summary[`${cycle}_vs_restic`] ?? ''}`,
        (of('secondsite', cycle, 'bytes') / 1e6).toFixed(1),
        (of('restic', cycle, 'bytes') / 1e6).toFixed(1),
      ]),
    ),
    '',
    `Medians of ${runs.length}. The delta uploaded ${summary['delta_bytes_ratio']} times what the changed blocks have when compressed.`,
    `Neither process server nor agent ever had more than ${summary['peak_rss_mb']} MB of memory.`,
    '',
  ].join('\n');
}

function say(words: string): void {
  process.stderr.write(`${words}\n`);
}
