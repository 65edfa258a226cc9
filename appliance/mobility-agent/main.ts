/** Entry of `secondsite agent …`: enrols this machine's mobility agent, runs it, tells how it stands. */
import { Command, CommanderError, Option } from 'commander';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { DomainError } from '../../shared/fault.ts';
import { describeFault } from '../exit.ts';
import { version } from '../version.ts';
import { enrol } from './enrol.ts';
import type { DiskChoice } from './disks.ts';
import { loadIdentity, readBiosUuid, saveIdentity, type AgentIdentity } from './identity.ts';
import { describeMachine } from './machine.ts';
import { readConfig, type AgentConfig } from './config.ts';
import { agentConfigPath, agentProduct } from './product.ts';
import { serviceCommands } from './service-commands.ts';
import { findPackageFolder } from '../service/product.ts';
import { Hooks } from './linux/hooks.ts';
import type { LivePolicy } from './live-cycle.ts';
import { isRunning, runAgent } from './run.ts';
import { describeStatus, findStatus } from './status.ts';

const isPackaged = findPackageFolder(agentProduct.name) !== undefined;
const usageError = 2;
/** What one script of `--hooks` may take. */
const hookLimitMs = 30_000;

function program(): Command {
  const program = new Command('secondsite agent')
    .description('the mobility agent: replicates the disks of the machine it runs on')
    .version(version)
    .showHelpAfterError()
    .exitOverride();
  program.addCommand(enrolCommand());
  program.addCommand(runCommand());
  program.addCommand(statusCommand());
  // Only what was installed from a package can be a service of the machine.
  if (isPackaged) for (const one of serviceCommands(enrolWith)) program.addCommand(one);
  return program;
}

interface EnrolOptions {
  server: string;
  passphraseFile?: string;
  dataFolder: string;
  biosUuid?: string;
  json?: true;
}

function enrolCommand(): Command {
  return command('enrol', 'enrol this machine at an appliance; repeating it replaces the enrolment')
    .requiredOption(
      '--server <host:port>',
      'where the appliance listens for agents; the port is 9443 by custom',
    )
    .option(
      '--passphrase-file <file>',
      "the appliance's passphrase; - reads it from standard input. Default: the environment variable SECONDSITE_PASSPHRASE",
    )
    .option(
      '--bios-uuid <uuid>',
      "the machine's BIOS UUID as vCenter shows it; default: what the firmware says",
    )
    .action(async (options: EnrolOptions) => {
      const { biosUuid, host, port } = await enrolWith(options);
      const next = isPackaged
        ? "Start its agent with 'secondsite-agent service restart'."
        : "Start its agent with 'secondsite agent run --data-folder … --disk ID=PATH'.";
      print(options.json, { enrolled: true, biosUuid, host, port }, [
        `The machine ${biosUuid} is enrolled at ${options.server}.`,
        next,
      ]);
    });
}

async function enrolWith(options: EnrolOptions): Promise<AgentIdentity> {
  const { host, port } = parseServer(options.server);
  const biosUuid = parseBiosUuid(options.biosUuid) ?? readBiosUuid();
  const passphrase = await readPassphrase(options.passphraseFile);
  const identity = await enrol({ host, port, passphrase, biosUuid, machine: describeMachine() });
  saveIdentity(resolve(options.dataFolder), identity);
  return identity;
}

interface RunOptions {
  dataFolder: string;
  config?: string;
  disk?: string[];
  hooks?: string;
  freezeLimit?: string;
  refuseInconsistent?: true;
  json?: true;
}

function runCommand(): Command {
  return command('run', 'replicate in the foreground; SIGTERM or Ctrl-C stops it')
    .option(
      '--disk <id=path...>',
      'a disk by the id that vCenter knows it under, and its block device or raw image; without any, the agent looks for the disks that are wanted',
    )
    .option(
      '--config <file>',
      'settings in JSON: disks, hooks, freezeLimitSeconds, refuseInconsistent; the options here come first',
      isPackaged ? agentConfigPath : undefined,
    )
    .option('--hooks <folder>', 'scripts around the freeze of points that are consistent for applications')
    .option('--freeze-limit <seconds>', 'how long file systems may be frozen for a point (default: 3)')
    .option('--refuse-inconsistent', 'make no point, not a marked one, when disks are not of one moment')
    .action(async (options: RunOptions) => {
      const config = readConfig(options.config === undefined ? undefined : resolve(options.config));
      await runAgent({
        dataFolder: resolve(options.dataFolder),
        disks: chooseDisks(options.disk, config),
        live: parseLivePolicy(options, config),
        json: options.json === true,
      });
    });
}

function statusCommand(): Command {
  return command('status', 'what is replicated, and what stands still').action(
    ({ dataFolder, json }: { dataFolder: string; json?: true }) => {
      const folder = resolve(dataFolder);
      const identity = loadIdentity(folder);
      const status = findStatus(folder) ?? {
        processId: 0,
        version,
        biosUuid: identity.biosUuid,
        server: `${identity.host}:${identity.port}`,
        disks: [],
        items: [],
      };
      const running = isRunning(folder);
      print(json, { running, ...status }, [describeStatus(status, running)]);
    },
  );
}

function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(dataFolderOption())
    .option('--json', 'JSON in place of words')
    .showHelpAfterError()
    .exitOverride();
}

function dataFolderOption(): Option {
  const option = new Option('--data-folder <folder>', 'where the agent keeps its key and what it knows');
  return isPackaged ? option.default(agentProduct.dataFolder) : option.makeOptionMandatory();
}

function parseServer(server: string): { host: string; port: number } {
  const found = /^(?<host>\[[0-9a-fA-F:]+\]|[^:\s/]+):(?<port>\d{1,5})$/u.exec(server)?.groups;
  const port = Number(found?.['port']);
  if (found?.['host'] === undefined || port < 1 || port > 65_535) {
    throw wrongOption('--server', `'${server}' is not HOST:PORT, such as appliance.contoso.local:9443`);
  }
  return { host: found['host'].replace(/^\[|\]$/gu, ''), port };
}

function parseBiosUuid(given: string | undefined): string | undefined {
  if (given === undefined) return undefined;
  const parsed = z.guid().safeParse(given.toLowerCase());
  if (parsed.success) return parsed.data;
  throw wrongOption('--bios-uuid', `'${given}' is not a UUID`);
}

function parseLivePolicy(
  { hooks, freezeLimit, refuseInconsistent }: RunOptions,
  config: AgentConfig,
): LivePolicy {
  const seconds = freezeLimit === undefined ? config.freezeLimitSeconds : Number(freezeLimit);
  if (!(seconds >= 0.1 && seconds <= 60))
    throw wrongOption('--freeze-limit', `'${freezeLimit}' is not a number of seconds from 0.1 to 60`);
  const folder = hooks ?? config.hooks;
  return {
    freezeLimitMs: seconds * 1_000,
    whenNotConsistent: refuseInconsistent === true || config.refuseInconsistent ? 'refuse' : 'mark',
    hooks: folder === undefined ? undefined : new Hooks(resolve(folder), hookLimitMs),
  };
}

/** Disks given here are all there are; those of the settings are what the agent would not find by itself. */
function chooseDisks(disks: string[] | undefined, config: AgentConfig): DiskChoice {
  if (disks !== undefined) return { given: parseDisks(disks), looks: false };
  const given = new Map(Object.entries(config.disks).map(([diskId, path]) => [diskId, resolve(path)]));
  return { given, looks: true };
}

function parseDisks(given: string[]): Map<string, string> {
  const disks = new Map<string, string>();
  for (const disk of given) {
    const at = disk.indexOf('=');
    const diskId = disk.slice(0, at);
    if (at < 1 || at === disk.length - 1) throw wrongOption('--disk', `'${disk}' is not ID=PATH`);
    if (disks.has(diskId)) throw wrongOption('--disk', `the disk ${diskId} is given twice`);
    disks.set(diskId, resolve(disk.slice(at + 1)));
  }
  return disks;
}

async function readPassphrase(file: string | undefined): Promise<string> {
  const given = file === undefined ? process.env['SECONDSITE_PASSPHRASE'] : await readSecret(file);
  const passphrase = given?.replace(/\r?\n$/u, '') ?? '';
  if (passphrase !== '') return passphrase;
  throw wrongOption(
    '--passphrase-file',
    file === undefined
      ? 'there is no passphrase: give the option, or set SECONDSITE_PASSPHRASE'
      : `the passphrase in ${file === '-' ? 'standard input' : file} is empty`,
  );
}

async function readSecret(file: string): Promise<string> {
  if (file === '-') return text(process.stdin);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw wrongOption(
      '--passphrase-file',
      `${file} can not be read (${(error as NodeJS.ErrnoException).code})`,
    );
  }
}

function wrongOption(option: string, reason: string): DomainError {
  return new DomainError({ code: 'InvalidRequest', message: `${option}: ${reason}.`, target: option });
}

function print(json: true | undefined, value: object, words: string[]): void {
  process.stdout.write(`${json ? JSON.stringify(value) : words.join('\n')}\n`);
}

async function main(): Promise<void> {
  process.umask(0o077);
  try {
    await program().parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : usageError;
    else if (error instanceof DomainError) {
      process.stderr.write(`${describeFault(error.fault)}\n`);
      process.exitCode ??= error.fault.code === 'InvalidRequest' ? usageError : 1;
    } else throw error;
  }
}

await main();
