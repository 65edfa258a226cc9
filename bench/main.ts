/** `npm run bench -- <name> [--json]`: one file a bench. Each gives the exit code. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { benchApi } from './api.ts';
import { benchDiscovery } from './discovery.ts';
import { benchLive, liveParts, type LivePart } from './live/live.ts';
import { benchMemory } from './memory.ts';
import { benchReplicate } from './replicate.ts';

const program = new Command('npm run bench --').description('benchmarks').showHelpAfterError();
const json = ['--json', 'one JSON object on the last line'] as const;

program
  .command('discovery')
  .description("discovers 5,000 machines of govmomi's simulator, beside reading them off the wire")
  .option(...json)
  .action(async (options: { json?: true }) => {
    process.exitCode = await benchDiscovery({ json: options.json === true });
  });

program
  .command('replicate')
  .description('replicates a disk image into Azurite on disk, beside restic on the same image')
  .option('--size-gib <number>', 'size of the image', atLeast(0.03125), 2)
  .option('--runs <number>', 'how often; medians are told', atLeast(1), 3)
  .option(...json)
  .action(async ({ sizeGib, runs, json }: { sizeGib: number; runs: number; json?: true }) => {
    process.exitCode = await benchReplicate({ sizeGiB: sizeGib, runs, json: json === true });
  });

program
  .command('memory')
  .description('the most memory that process server and agent take, for a large sparse disk')
  .option('--size-gib <number>', 'size of the disk', atLeast(1), 20)
  .option(...json)
  .action(async ({ sizeGib, json }: { sizeGib: number; json?: true }) => {
    process.exitCode = await benchMemory({ sizeGiB: sizeGib, json: json === true });
  });

program
  .command('live')
  .description(
    'block devices in use: replication, restore, freezes and overhead, beside restic, fio and a floor',
  )
  .addOption(new Option('--parts <name...>', 'what to measure').choices(liveParts).default(liveParts))
  .option('--size-gib <number>', 'size of the mixed disk', atLeast(0.25), 2)
  .option('--large-gib <number>', 'size of the sparse disk beside one of 1 GiB', atLeast(1), 64)
  .option('--runs <number>', 'how often; medians are told', atLeast(1), 5)
  .option('--points <number>', 'points made under load', atLeast(1), 100)
  .option(...json)
  .action(async ({ json, ...options }: LiveOptions) => {
    process.exitCode = await benchLive({
      ...options,
      sizeGiB: options.sizeGib,
      largeGiB: options.largeGib,
      json: json === true,
    });
  });

interface LiveOptions {
  parts: LivePart[];
  sizeGib: number;
  largeGib: number;
  runs: number;
  points: number;
  json?: true;
}

program
  .command('api')
  .description('the control plane on the local platform, beside bare table operations')
  .option(...json)
  .action(async (options: { json?: true }) => {
    process.exitCode = await benchApi({ json: options.json === true });
  });

await program.parseAsync();

function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isFinite(value) && value >= least) return value;
    throw new InvalidArgumentError(`It has to be a number, ${least} or more.`);
  };
}
