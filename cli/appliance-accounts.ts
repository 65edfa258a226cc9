/** Commands about what machines are entered with, and what is installed on them. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { DomainError } from '../shared/fault.ts';
import type { AccountSummary } from '../shared/wire/appliance-control.ts';
import {
  common,
  print,
  readSecret,
  withPassword,
  type CommonOptions,
  type PasswordOptions,
} from './appliance-options.ts';
import { inColumns } from './appliance-status.ts';
import { askAppliance } from './control-client.ts';

/** `secondsite appliance accounts …` */
export function accountsCommand(): Command {
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

type SshOptions = CommonOptions & PasswordOptions & { privateKey?: string; sshPort?: string; user?: string };

function withSsh(command: Command): Command {
  return command
    .option('--private-key <file>', 'an SSH key without a passphrase; then the password, if any, is for sudo')
    .option('--ssh-port <number>', 'where the SSH servers of its machines listen (default: 22)');
}

function accountsAddCommand(): Command {
  return withSsh(withPassword('add', 'add an account'))
    .requiredOption('--name <name>', 'what to call it')
    .requiredOption('--user <name>', 'the user name to log in with')
    .action(async (options: SshOptions & { name: string; user: string }) => {
      const { dataFolder, json, name: accountName, user: userName } = options;
      const secrets = await readSecrets(options, options.privateKey === undefined);
      const account = await askAppliance(dataFolder, {
        op: 'accountsAdd',
        accountName,
        userName,
        ...secrets,
      });
      print(json, account, `Added the account '${account.accountName}' with id ${account.accountId}.`);
    });
}

function accountsUpdateCommand(): Command {
  return withSsh(withPassword('update', 'change an account: its password, unless only others are given'))
    .argument('<account>', 'id or name')
    .option('--user <name>', 'the user name to log in with, where it changed too')
    .action(async (account: string, options: SshOptions) => {
      const { user, privateKey, sshPort } = options;
      const secrets = await readSecrets(options, privateKey === undefined && sshPort === undefined);
      const change = user === undefined ? secrets : { ...secrets, userName: user };
      const changed = await askAppliance(options.dataFolder, { op: 'accountsUpdate', account, ...change });
      print(options.json, changed, `Changed the account '${changed.accountName}'.`);
    });
}

/** @param wantsPassword whether it is asked for where no environment variable is named */
async function readSecrets(
  { passwordEnv, privateKey, sshPort }: SshOptions,
  wantsPassword: boolean,
): Promise<{ password?: string; privateKey?: string; sshPort?: number }> {
  const asks = wantsPassword || passwordEnv !== undefined;
  return {
    ...(asks ? { password: await readSecret('password', passwordEnv) } : {}),
    ...(privateKey === undefined ? {} : { privateKey: readKey(privateKey) }),
    ...(sshPort === undefined ? {} : { sshPort: parsePort(sshPort) }),
  };
}

function readKey(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw wrong('--private-key', `${path} can not be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw wrong('--ssh-port', `'${text}' is not a port`);
}

function wrong(option: string, reason: string): DomainError {
  return new DomainError({ code: 'InvalidRequest', message: `${option}: ${reason}.`, target: option });
}

/** `secondsite appliance host-keys …` */
export function hostKeysCommand(): Command {
  const group = new Command('host-keys').description(
    'by what key machines are known that agents were pushed to',
  );
  group.addCommand(
    common('list', 'list the machines and their keys').action(async ({ dataFolder, json }: CommonOptions) => {
      const keys = await askAppliance(dataFolder, { op: 'hostKeysList' });
      const rows = keys.map(({ host, fingerprint, firstSeenMs }) => [
        host,
        fingerprint,
        new Date(firstSeenMs).toISOString(),
      ]);
      print(json, keys, inColumns([['HOST', 'KEY', 'FIRST SEEN'], ...rows]));
    }),
  );
  group.addCommand(
    common('forget', 'take the next key that a machine shows for its own')
      .argument('<address>', 'its address, with or without the port')
      .action(async (address: string, { dataFolder, json }: CommonOptions) => {
        await askAppliance(dataFolder, { op: 'hostKeysForget', address });
        print(json, {}, `The key of ${address} is forgotten.`);
      }),
  );
  return group;
}

/** `secondsite appliance packages …` */
export function packagesCommand(): Command {
  const group = new Command('packages').description(
    'packages of the mobility agent that the appliance can push',
  );
  group.addCommand(
    common('list', 'list them, the newest first').action(async ({ dataFolder, json }: CommonOptions) => {
      const packages = await askAppliance(dataFolder, { op: 'packagesList' });
      const rows = packages.map(({ version, platform, path }) => [version, platform, path]);
      print(
        json,
        packages,
        rows.length === 0 ? 'There are none.' : inColumns([['VERSION', 'PLATFORM', 'FILE'], ...rows]),
      );
    }),
  );
  group.addCommand(
    common('trust', 'accept packages that are signed by this key from now on')
      .argument('<fingerprint>', 'SHA-256 of the public key in DER, as the refusal shows it')
      .action(async (fingerprint: string, { dataFolder, json }: CommonOptions) => {
        const packages = await askAppliance(dataFolder, { op: 'packagesTrust', fingerprint });
        print(json, packages, `Packages signed by ${fingerprint} are accepted.`);
      }),
  );
  return group;
}

function describeAccounts(accounts: AccountSummary[]): string {
  if (accounts.length === 0) return 'There are no accounts yet.';
  const rows = accounts.map(({ accountId, accountName, userName, hasPrivateKey, sshPort }) => [
    accountId,
    accountName,
    userName,
    hasPrivateKey ? 'key' : 'password',
    String(sshPort),
  ]);
  return inColumns([['ID', 'NAME', 'USER', 'WITH', 'SSH PORT'], ...rows]);
}
