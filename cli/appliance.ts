/** `secondsite appliance …`: what is done at the machine that the configuration server and process server run on. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { common, commonArguments, print, readSecret, type CommonOptions } from './appliance-options.ts';
import { accountsCommand, hostKeysCommand, packagesCommand } from './appliance-accounts.ts';
import { supportCommands } from './appliance-support.ts';
import { refreshCommand, vCenterCommand } from './appliance-vcenter.ts';
import { describeStatus } from './appliance-status.ts';
import { askAppliance } from './control-client.ts';
import { runPart } from './run-part.ts';

/** `secondsite appliance …` */
export function addApplianceCommands(program: Command): void {
  const group = program
    .command('appliance')
    .description('the machine of your site that discovers, replicates and checks in');
  group.addCommand(setupCommand());
  group.addCommand(runCommand());
  group.addCommand(statusCommand());
  group.addCommand(accountsCommand());
  group.addCommand(hostKeysCommand());
  group.addCommand(packagesCommand());
  group.addCommand(passphraseCommand());
  group.addCommand(vCenterCommand());
  group.addCommand(refreshCommand());
  for (const command of supportCommands()) group.addCommand(command);
}

function setupCommand(): Command {
  return common('setup', 'set this machine up and register it at a vault; repeating it repairs')
    .option('--key <file>', "the vault's registration key")
    .option('--answers <file>', 'YAML with all answers, for setup without questions')
    .option('--licences', 'show the packages that it is made of, with their licences')
    .option('--check', 'check the prerequisites, and change nothing')
    .option('--time-server <server>', 'check the clock against this server too')
    .option('--port <number>', 'where mobility agents come in; 0 takes a free port', '9443')
    .option('--host <address>', 'address to listen on for mobility agents', '127.0.0.1')
    .option('--wait-seconds <number>', 'how long to try again while the vault is not reached', '120')
    .action(async (options: CommonOptions & SetupFlags) =>
      runPart('appliance/setup/main.ts', 'appliance', [
        ...setupArguments(options),
        ...commonArguments(options),
      ]),
    );
}

interface SetupFlags {
  key?: string;
  answers?: string;
  licences?: boolean;
  check?: boolean;
  timeServer?: string;
  port: string;
  host: string;
  waitSeconds: string;
}

function setupArguments(flags: SetupFlags): string[] {
  const { key, answers, licences, check, timeServer, port, host, waitSeconds } = flags;
  return [
    ...(answers === undefined ? [] : ['--answers', resolve(answers)]),
    ...(licences === true ? ['--licences'] : []),
    ...(key === undefined ? [] : ['--key', resolve(key)]),
    ...(check === true ? ['--check'] : []),
    ...(timeServer === undefined ? [] : ['--time-server', timeServer]),
    '--port',
    port,
    '--host',
    host,
    '--wait-seconds',
    waitSeconds,
  ];
}

function runCommand(): Command {
  return common('run', 'run the appliance in the foreground; SIGTERM or Ctrl-C stops it').action(
    async (options: CommonOptions) => runPart('appliance/main.ts', 'appliance', commonArguments(options)),
  );
}

function statusCommand(): Command {
  return common('status', 'how the appliance is doing').action(
    async ({ dataFolder, json }: CommonOptions) => {
      const status = await askAppliance(dataFolder, { op: 'status' });
      print(json, status, describeStatus(status));
    },
  );
}

function passphraseCommand(): Command {
  const group = new Command('passphrase').description('what a mobility agent proves when it enrols');
  group.addCommand(
    common('show', 'show the passphrase').action(async ({ dataFolder, json }: CommonOptions) => {
      const answer = await askAppliance(dataFolder, { op: 'passphraseShow' });
      print(json, answer, answer.passphrase);
    }),
  );
  group.addCommand(
    common('set', 'set another passphrase, from standard input or an environment variable')
      .option('--passphrase-env <name>', 'the environment variable that has it')
      .action(async ({ dataFolder, json, passphraseEnv }: CommonOptions & { passphraseEnv?: string }) => {
        const passphrase = await readSecret('passphrase', passphraseEnv);
        await askAppliance(dataFolder, { op: 'passphraseSet', passphrase });
        print(json, {}, 'The passphrase is set. Agents that are enrolled already don’t need it.');
      }),
  );
  return group;
}
