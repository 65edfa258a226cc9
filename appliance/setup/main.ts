/**
 * Entry of `secondsite appliance setup`: checks the machine, makes the data folder, registers the appliance at the vault.
 * Changes nothing twice, and with --check nothing at all.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DomainError } from '../../shared/fault.ts';
import { getPassphrase } from '../configuration-server/identity.ts';
import { openStore } from '../configuration-server/store.ts';
import { exitWithError } from '../exit.ts';
import { internetOf, passphraseOf, readAnswers, refuseAnswers, type Answers } from './answers.ts';
import { checkOnly, type CheckOptions } from './check.ts';
import { describeLicences } from './licences.ts';
import { describePrerequisites } from './prerequisites/describe-prerequisites.ts';
import { askForAnswers } from './wizard.ts';
import { setUp, type SetupOptions, type SetupResult } from './set-up.ts';

async function main(): Promise<void> {
  process.umask(0o077);
  const { values } = parseArgs({
    options: {
      key: { type: 'string' },
      'data-folder': { type: 'string' },
      port: { type: 'string', default: '9443' },
      host: { type: 'string', default: '127.0.0.1' },
      'wait-seconds': { type: 'string', default: '120' },
      'time-server': { type: 'string' },
      answers: { type: 'string' },
      licences: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  if (values.licences) {
    process.stdout.write(`${describeLicences()}\n`);
    return;
  }
  const dataFolder = resolve(need(values['data-folder'], '--data-folder'));
  if (isForPerson(values)) {
    await setUpWithQuestions(dataFolder, values['time-server']);
    return;
  }
  const answers = values.answers === undefined ? undefined : readAnswers(resolve(values.answers));
  const told = answers === undefined ? fromFlags(values, dataFolder) : fromAnswers(answers, dataFolder);
  if (values.check) {
    const report = await checkOnly(told);
    process.stdout.write(`${values.json ? JSON.stringify(report) : describePrerequisites(report)}\n`);
    if (report.outcome === 'Failed') process.exitCode = 1;
    return;
  }
  if (answers !== undefined) refuseAnswers(answers);
  const result = await setUp({
    ...told,
    keyPath: need(told.keyPath, '--key'),
    waitSeconds: readNumber(values['wait-seconds'], '--wait-seconds', 86_400),
    onRetry: (message) => process.stderr.write(`${message} Trying again…\n`),
  });
  process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : inWords(result));
}

/** Nothing was told, and somebody sits there to be asked. */
function isForPerson(values: { key?: string; answers?: string; check: boolean; json: boolean }): boolean {
  const isTold = values.key !== undefined || values.answers !== undefined || values.check || values.json;
  return !isTold && process.stdin.isTTY && process.stdout.isTTY;
}

async function setUpWithQuestions(dataFolder: string, timeServer: string | undefined): Promise<void> {
  const answers = await askForAnswers({ dataFolder, timeServer });
  if (answers === undefined) {
    process.stdout.write('Nothing was changed.\n');
    return;
  }
  const told = fromAnswers(answers, dataFolder);
  const result = await setUp({
    ...told,
    keyPath: answers.registrationKey,
    waitSeconds: 120,
    onRetry: (message) => process.stderr.write(`${message} Trying again…\n`),
  });
  process.stdout.write(inWords(result));
  if (result.alreadyRegistered) return;
  const passphrase = readPassphrase(told.dataFolder);
  process.stdout.write(`The passphrase for mobility agents, shown this once: ${passphrase}\n`);
}

function readPassphrase(dataFolder: string): string {
  const store = openStore(dataFolder);
  try {
    return getPassphrase(store);
  } finally {
    store.db.close();
  }
}

type Told = CheckOptions & Pick<SetupOptions, 'passphrase' | 'refusesUndersized'>;

function fromFlags(
  values: { key?: string | undefined; host: string; port: string; 'time-server'?: string | undefined },
  dataFolder: string,
): Told {
  return {
    keyPath: values.key === undefined ? undefined : resolve(values.key),
    dataFolder,
    host: values.host,
    port: readNumber(values.port, '--port', 65_535),
    timeServer: values['time-server'],
  };
}

function fromAnswers(answers: Answers, dataFolder: string): Told {
  return {
    keyPath: answers.registrationKey,
    dataFolder: answers.dataFolder ?? dataFolder,
    ...answers.network,
    timeServer: answers.timeServer,
    internet: internetOf(answers),
    passphrase: passphraseOf(answers),
    refusesUndersized: !answers.acceptUndersized,
  };
}

function inWords(result: SetupResult): string {
  const folder = `--data-folder ${quoted(result.dataFolder)}`;
  const first = result.alreadyRegistered
    ? `This appliance is registered at the vault ${result.vaultName} already; its settings are as given now.`
    : `This appliance is registered at the vault ${result.vaultName}.`;
  const { outcome } = result.prerequisites;
  return [
    ...(outcome === 'Passed' ? [] : ['Prerequisites:', describePrerequisites(result.prerequisites), '']),
    first,
    `  Appliance    ${result.applianceId}`,
    `  Data folder  ${result.dataFolder}`,
    `  Agents       ${result.host}:${result.port === 0 ? 'a free port, chosen at the first start' : result.port}`,
    '',
    `Start it:                     secondsite appliance run ${folder}`,
    `The passphrase for agents:    secondsite appliance passphrase show ${folder}`,
    `An account for the vCenter:   secondsite appliance accounts add ${folder} --name NAME --user USER`,
    '',
  ].join('\n');
}

/** As a shell takes it. */
function quoted(path: string): string {
  return /^[\w./-]+$/u.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

function need(value: string | undefined, option: string): string {
  if (value !== undefined && value !== '') return value;
  throw new DomainError({ code: 'InvalidRequest', message: `${option} is missing.`, target: option });
}

function readNumber(text: string, option: string, most: number): number {
  const value = Number(text);
  if (/^\d+$/u.test(text) && value <= most) return value;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `${option} takes a whole number from 0 to ${most}, not '${text}'.`,
    target: option,
  });
}

main().catch(exitWithError);
