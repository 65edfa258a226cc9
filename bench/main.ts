/** `npm run bench -- <what>`: measures Secondsite beside the tools people would otherwise use. */
import { Command, InvalidArgumentError } from 'commander';
import { replicate } from './replicate.ts';

function atLeast(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isFinite(value) && value >= least) return value;
    throw new InvalidArgumentError(`It has to be a number, ${least} or more.`);
  };
}

const program = new Command('npm run bench --').description('benchmarks').showHelpAfterError();
program
  .command('replicate')
  .description('replicates a disk image into Azurite on disk, beside restic on the same image')
  .option('--size-gib <number>', 'size of the image', atLeast(0.03125), 2)
  .option('--runs <number>', 'how often; medians are told', atLeast(1), 3)
  .option('--json', 'end with one JSON object in place of the table')
  .action(async (options: { sizeGib: number; runs: number; json?: true }) => {
    await replicate({ sizeGiB: options.sizeGib, runs: options.runs, json: options.json === true });
  });
await program.parseAsync();
