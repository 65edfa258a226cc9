import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { DomainError } from '../shared/fault.ts';

/** What every command of the appliance takes. */
export interface CommonOptions {
  dataFolder: string;
  json?: boolean;
}

/** Where a password comes from. */
export interface PasswordOptions {
  passwordEnv?: string;
}

/** A command that takes a password. */
export function withPassword(name: string, description: string): Command {
  return common(
    name,
    `${description}; the password comes from standard input or an environment variable`,
  ).option('--password-env <name>', 'the environment variable that has the password');
}

/** A command for the appliance of a data folder. */
export function common(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option(
      '--data-folder <folder>',
      "the appliance's data folder",
      (path) => resolve(path),
      defaultDataFolder(),
    )
    .option('--json', 'print JSON');
}

/** The common options as another part's arguments. */
export function commonArguments({ dataFolder, json }: CommonOptions): string[] {
  return ['--data-folder', dataFolder, ...(json === true ? ['--json'] : [])];
}

function defaultDataFolder(): string {
  if (process.getuid?.() === 0) return '/var/lib/secondsite/appliance';
  const base = process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share');
  return join(base, 'secondsite', 'appliance');
}

/** A secret never stands in the arguments, which every user of the machine can read. */
export async function readSecret(what: string, environmentName: string | undefined): Promise<string> {
  if (environmentName === undefined && process.stdin.isTTY) {
    process.stderr.write(`Type the ${what}, then Enter and Ctrl-D (it is shown as you type):\n`);
  }
  const given = environmentName === undefined ? await text(process.stdin) : process.env[environmentName];
  const secret = given?.replace(/\r?\n$/u, '');
  if (secret !== undefined && secret !== '') return secret;
  throw new DomainError({
    code: 'InvalidRequest',
    message:
      environmentName === undefined
        ? `There is no ${what} on standard input.`
        : `The environment variable ${environmentName} is not set or empty.`,
    target: what,
  });
}

/** Prints one JSON object where that was asked for, else words. */
export function print(json: boolean | undefined, value: object, words: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(value)}\n` : `${words}\n`);
}
