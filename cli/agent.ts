import type { Command } from 'commander';

import { runPart } from './run-part.ts';

/** `secondsite agent …`: the mobility agent of the machine this runs on. It knows its own options. */
export function addAgentCommands(program: Command): void {
  program
    .enablePositionalOptions()
    .command('agent')
    .description('the mobility agent: enrol this machine, replicate its disks, see how it stands')
    .argument('[arguments...]', 'see secondsite agent --help')
    .helpOption(false)
    .passThroughOptions()
    .allowUnknownOption()
    .action((given: string[]) => runPart('appliance/mobility-agent/main.ts', 'mobility agent', given));
}
