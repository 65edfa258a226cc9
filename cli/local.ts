import { type Command, Option } from 'commander';

import { runPart } from './run-part.ts';

const dataFolder = (): Option => new Option('--data-folder <folder>', "the platform's data folder");
const json = (): Option => new Option('--json', 'one JSON object');

/** `secondsite local …`: the local platform. */
export function addLocalCommands(program: Command): void {
  const local = program.command('local').description('the local platform, run by npm start');

  local
    .command('token')
    .description('print a bearer token for its ARM API, good for an hour')
    .addOption(
      new Option('--role <role>', 'what the token may do')
        .choices(['contributor', 'operator', 'reader'])
        .makeOptionMandatory(),
    )
    .addOption(json())
    .addOption(dataFolder())
    .action((options: { role: string; json?: true; dataFolder?: string }) =>
      runLocal(['token', '--role', options.role], options),
    );

  local
    .command('env')
    .description('print what a shell exports to reach its ARM API: eval "$(secondsite local env --role …)"')
    .addOption(
      new Option('--role <role>', 'what the token may do')
        .choices(['contributor', 'operator', 'reader'])
        .makeOptionMandatory(),
    )
    .addOption(json())
    .addOption(dataFolder())
    .action((options: { role: string; json?: true; dataFolder?: string }) =>
      runLocal(['env', '--role', options.role], options),
    );

  local
    .command('status')
    .description('say whether it runs, and where; exit code 3 when it does not answer')
    .addOption(json())
    .addOption(dataFolder())
    .action((options: { json?: true; dataFolder?: string }) => runLocal(['status'], options));
}

async function runLocal(args: string[], options: { json?: true; dataFolder?: string }): Promise<void> {
  await runPart('local/cli.ts', 'local platform', [
    ...args,
    ...(options.json ? ['--json'] : []),
    ...(options.dataFolder === undefined ? [] : ['--data-folder', options.dataFolder]),
  ]);
}
