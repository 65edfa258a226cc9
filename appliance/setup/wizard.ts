/** The steps of setup as questions, in the order of Site Recovery's Unified Setup. What comes out is {@link Answers}. */
import { resolve } from 'node:path';
import { confirm, input, number, password, select } from '@inquirer/prompts';
import type { PrerequisiteReport } from '../../shared/wire/prerequisite.ts';
import { readRegistrationKey } from '../configuration-server/registration.ts';
import { Answers, internetOf, refuseAnswers } from './answers.ts';
import { checkOnly } from './check.ts';
import { describeLicences } from './licences.ts';
import { describePrerequisites } from './prerequisites/describe-prerequisites.ts';

/** Where the questions are shown and answered; left out, this terminal. */
export interface Terminal {
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream;
}

/** What is known before the first question. */
export interface WizardOptions {
  dataFolder: string;
  keyPath?: string | undefined;
  timeServer?: string | undefined;
  terminal?: Terminal;
}

/**
 * Asks for everything that setup needs.
 *
 * @returns the answers, or undefined when the summary was not confirmed
 * @throws DomainError NotSupported, InvalidRequest as refuseAnswers.
 */
export async function askForAnswers(options: WizardOptions): Promise<Answers | undefined> {
  const { terminal } = options;
  const say = (text: string): void => void (terminal?.output ?? process.stdout).write(`\n${text}\n`);
  say('Step 1 of 11: what this machine is to be');
  const role = await askRole(terminal);
  say(`Step 2 of 11: licences of the packages that the appliance is made of\n${describeLicences()}`);
  const acceptLicences = await confirm({ message: 'Accept them?', default: false }, terminal);
  refuseAnswers(Answers.parse({ role, acceptLicences, registrationKey: 'asked next' }));
  say('Step 3 of 11: the vault');
  const registrationKey = await askKey(options);
  say('Step 4 of 11: the way to the internet');
  const internet = await askInternet(terminal);
  say('Step 5 of 11: where mobility agents come in');
  const network = await askNetwork(terminal);
  say('Step 6 of 11: where store, cache and log are kept (5 GiB free at the least, 600 GiB recommended)');
  const dataFolder = resolve(await input({ message: 'Folder', default: options.dataFolder }, terminal));
  const soFar = { role, acceptLicences, registrationKey, internet, network, dataFolder };
  say('Step 7 of 11: prerequisites');
  const report = await check(Answers.parse(soFar), options.timeServer);
  say(describePrerequisites(report));
  const acceptUndersized = report.undersized && (await askUndersized(terminal));
  say('Step 8 of 11: the configuration store (SQLite, its secrets encrypted)');
  const passphrase = await askPassphrase(terminal);
  say('Step 9 of 11: the environment');
  const vmware = await confirm(
    { message: 'Are the machines to protect VMware ones?', default: true },
    terminal,
  );
  const answers = Answers.parse({
    ...soFar,
    acceptUndersized,
    vmware,
    ...passphrase,
    timeServer: options.timeServer,
  });
  refuseAnswers(answers);
  say(`Step 10 of 11: summary\n${summary(answers)}`);
  const isConfirmed = await confirm({ message: 'Set the appliance up so?', default: true }, terminal);
  if (isConfirmed) say('Step 11 of 11: setting up');
  return isConfirmed ? answers : undefined;
}

async function askRole(terminal?: Terminal): Promise<Answers['role']> {
  const choices = [
    { name: 'Configuration server and process server', value: 'configurationServer' },
    { name: 'Additional process server', value: 'processServer', disabled: '(not there yet)' },
  ] as const;
  return select({ message: 'Role', choices }, terminal);
}

async function askKey({ keyPath, terminal }: WizardOptions): Promise<string> {
  const known = keyPath === undefined ? {} : { default: keyPath };
  return resolve(await input({ message: 'Registration key file', validate: isKey, ...known }, terminal));
}

async function askInternet(terminal?: Terminal): Promise<Answers['internet']> {
  const choices = [
    { name: 'Directly', value: 'direct' },
    { name: 'Through this machine’s proxy (HTTPS_PROXY)', value: 'machine' },
    { name: 'Through another proxy', value: 'custom' },
  ] as const;
  const mode = await select({ message: 'Connect', choices }, terminal);
  if (mode !== 'custom') return { mode };
  const address = await input({ message: 'Proxy address', required: true }, terminal);
  const port = await number({ message: 'Proxy port', required: true, min: 1, max: 65_535 }, terminal);
  const user = await input({ message: 'Proxy user (empty: none)' }, terminal);
  if (user === '') return { mode, address, port };
  const secret = await password({ message: 'Proxy password', mask: '*' }, terminal);
  return { mode, address, port, user, ...(secret === '' ? {} : { password: secret }) };
}

async function askNetwork(terminal?: Terminal): Promise<Answers['network']> {
  const host = await input({ message: 'Address to listen on', default: '0.0.0.0' }, terminal);
  const options = {
    message: 'Port',
    default: 9443,
    min: 0,
    max: 65_535,
    required: true,
    validate: not443,
  } as const;
  return { host, port: await number(options, terminal) };
}

async function check(answers: Answers, timeServer: string | undefined): Promise<PrerequisiteReport> {
  const { registrationKey: keyPath, dataFolder = '', network } = answers;
  return checkOnly({ keyPath, dataFolder, ...network, timeServer, internet: internetOf(answers) });
}

async function askUndersized(terminal?: Terminal): Promise<boolean> {
  return confirm({ message: 'The machine is smaller than recommended. Go on?', default: false }, terminal);
}

async function askPassphrase(terminal?: Terminal): Promise<{ passphrase?: string }> {
  const isMade = await confirm({ message: 'Make a passphrase for the agents?', default: true }, terminal);
  if (isMade) return {};
  return { passphrase: await password({ message: 'Passphrase', mask: '*', validate: isLong }, terminal) };
}

function summary({ registrationKey, internet, network, dataFolder = '' }: Answers): string {
  const { file } = readRegistrationKey(registrationKey);
  const proxy = internet.mode === 'custom' ? `through ${internet.address}:${internet.port}` : internet.mode;
  return [
    `  Vault        ${file.vaultName}`,
    `  Internet     ${proxy}`,
    `  Agents       ${network.host}:${network.port === 0 ? 'a free port' : network.port}`,
    `  Data folder  ${dataFolder}`,
  ].join('\n');
}

function isKey(path: string): true | string {
  try {
    readRegistrationKey(resolve(path));
    return true;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function not443(port: number | undefined): true | string {
  return port !== 443 || '443 is never used for replication data: take 9443, or any other free port.';
}

function isLong(text: string): true | string {
  return /^[\x21-\x7e]{16,128}$/u.test(text) || '16 to 128 printable ASCII characters and no spaces.';
}
