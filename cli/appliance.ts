/** `secondsite appliance …`: what is done at the machine that the configuration server and process server run on. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import type { AccountSummary } from '../shared/wire/appliance-control.ts';
import {
  common,
  commonArguments,
  print,
  readSecret,
  withPassword,
  type CommonOptions,
  type PasswordOptions,
} from './appliance-options.ts';
import { supportCommands } from './appliance-support.ts';
import { refreshCommand, vCenterCommand } from './appliance-vcenter.ts';
import { describeStatus, inColumns } from './appliance-status.ts';
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

function accountsCommand(): Command {
  const group = new Command('accounts').description('accounts that vCenters and machines are reached with');
  group.addCommand(accountsAddCommand());
  group.addCommand(accountsUpdateCommand());
  group.addCommand(
    common('list', 'list the accounts').action(async ({ dataFolder, json }: CommonOptions) => {
      const accounts = await askAppliance(dataFolder, { op: 'accountsList' });
      print(json, accounts, describeAccounts(accounts));
    }),
  );
  group.addCommand(
    common('remove', 'remove an account that no vCenter uses')
      .argument('<account>', 'id or name')
      .action(async (account: string, { dataFolder, json }: CommonOptions) => {
        const removed = await askAppliance(dataFolder, { op: 'accountsRemove', account });
        print(json, removed, `Removed the account '${removed.accountName}'.`);
      }),
  );
  return group;
}

function accountsAddCommand(): Command {
  return withPassword('add', 'add an account')
    .requiredOption('--name <name>', 'what to call it; the vault shows this name')
    .requiredOption('--user <name>', 'the user name to log in with')
    .action(async (options: CommonOptions & PasswordOptions & { name: string; user: string }) => {
      const { dataFolder, json, name: accountName, user: userName } = options;
      const password = await readSecret('password', options.passwordEnv);
      const account = await askAppliance(dataFolder, { op: 'accountsAdd', accountName, userName, password });
      print(json, account, `Added the account '${account.accountName}' with id ${account.accountId}.`);
    });
}

function accountsUpdateCommand(): Command {
  return withPassword('update', "change an account's password")
    .argument('<account>', 'id or name')
    .option('--user <name>', 'the user name to log in with, where it changed too')
    .action(async (account: string, options: CommonOptions & PasswordOptions & { user?: string }) => {
      const password = await readSecret('password', options.passwordEnv);
      const user = options.user === undefined ? {} : { userName: options.user };
      const request = { op: 'accountsUpdate', account, password, ...user } as const;
      const changed = await askAppliance(options.dataFolder, request);
      print(options.json, changed, `Changed the account '${changed.accountName}'.`);
    });
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

function describeAccounts(accounts: AccountSummary[]): string {
  if (accounts.length === 0) return 'There are no accounts yet.';
  const rows = accounts.map((account) => [account.accountId, account.accountName, account.userName]);
  return inColumns([['ID', 'NAME', 'USER'], ...rows]);
}
