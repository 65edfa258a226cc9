/** Commands of an agent that was installed from its package: it as a service of the machine. */
import { Command } from 'commander';
import { rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { DomainError } from '../../shared/fault.ts';
import { install, uninstall, type Installed } from '../service/install.ts';
import { keeperOf } from '../service/keeper.ts';
import { ensureConfig } from './config.ts';
import { hasIdentity, type AgentIdentity } from './identity.ts';
import { agentConfigPath, agentProduct } from './product.ts';
import { findStatus, type AgentStatusFile } from './status.ts';
import { untilAgentIsUp } from './until-up.ts';

/** Exit status of a package's installer, beside those of its header: see packaging/header.sh. */
const exitCodes = { rolledBack: 7, enrolmentRefused: 8 } as const;

type Enrol = (options: {
  server: string;
  passphraseFile?: string;
  dataFolder: string;
  biosUuid?: string;
}) => Promise<AgentIdentity>;

interface InstallOptions {
  from: string;
  server?: string;
  passphraseFile?: string;
  biosUuid?: string;
  json?: true;
}

/** install, uninstall and service. @param enrol enrols this machine and keeps its identity */
export function serviceCommands(enrol: Enrol): Command[] {
  return [installCommand(enrol), uninstallCommand(), serviceCommand()];
}

function installCommand(enrol: Enrol): Command {
  return new Command('install')
    .description('install this version as a service, or upgrade to it; the package calls this')
    .requiredOption('--from <folder>', 'the unpacked package')
    .option('--server <host:port>', 'enrol at this appliance; without, an enrolment that is there stays')
    .option('--passphrase-file <file>', "the appliance's passphrase; - reads it from standard input")
    .option('--bios-uuid <uuid>', "the machine's BIOS UUID; default: what the firmware says")
    .option('--json', 'JSON in place of words')
    .exitOverride()
    .action(async (options: InstallOptions) => {
      process.umask(0o022); // programs are for everybody to read; what is secret says so itself
      const { dataFolder } = agentProduct;
      const before = findStatus(dataFolder);
      const { server, passphraseFile, biosUuid } = options;
      const installed = await install(agentProduct, options.from, {
        prepare: async () => {
          ensureConfig(agentConfigPath);
          if (server !== undefined) await enrolOrRefuse(enrol, { server, passphraseFile, biosUuid });
        },
        shallRun: () => hasIdentity(dataFolder),
        untilUp: (version) => untilAgentIsUp({ dataFolder, version, before, isNew: server !== undefined }),
      }).catch((error: unknown) => {
        if (error instanceof DomainError && error.fault.armCode === 'RolledBack')
          process.exitCode = exitCodes.rolledBack;
        throw error;
      });
      tell(options.json, installed, inWords(installed, findStatus(dataFolder)));
    });
}

async function enrolOrRefuse(
  enrol: Enrol,
  {
    server,
    passphraseFile,
    biosUuid,
  }: {
    server: string;
    passphraseFile: string | undefined;
    biosUuid: string | undefined;
  },
): Promise<void> {
  try {
    await enrol({
      server,
      dataFolder: agentProduct.dataFolder,
      ...(passphraseFile === undefined ? {} : { passphraseFile }),
      ...(biosUuid === undefined ? {} : { biosUuid }),
    });
  } catch (error) {
    process.exitCode = exitCodes.enrolmentRefused;
    throw error;
  }
}

function uninstallCommand(): Command {
  return new Command('uninstall')
    .description('stop the agent and remove it from this machine')
    .option('--keep-data', 'keep its enrolment, what it knows of the replica, and its settings')
    .option('--json', 'JSON in place of words')
    .exitOverride()
    .action(async ({ keepData, json }: { keepData?: true; json?: true }) => {
      await uninstall(agentProduct, { data: keepData !== true });
      if (keepData !== true) removeSettings();
      tell(json, { uninstalled: true }, 'The mobility agent is removed from this machine.');
    });
}

/** The folder is shared with the appliance's settings: it goes when it is empty. */
function removeSettings(): void {
  rmSync(agentConfigPath, { force: true });
  try {
    rmdirSync(dirname(agentConfigPath));
  } catch {
    // not empty, or not there
  }
}

function serviceCommand(): Command {
  return new Command('service')
    .description('start, stop or restart the service of this machine, or say whether it is kept running')
    .argument('<action>', 'start, stop, restart or status')
    .exitOverride()
    .action(async (action: string) => {
      const keeper = keeperOf(agentProduct);
      if (action === 'stop') await keeper.stop();
      else if (action === 'restart' || (action === 'start' && !(await keeper.isActive())))
        await keeper.restart();
      else if (action !== 'status' && action !== 'start')
        throw new DomainError({
          code: 'InvalidRequest',
          message: `service: there is no '${action}': start, stop, restart or status.`,
        });
      const isActive = await keeper.isActive();
      process.stdout.write(`${isActive ? 'active' : 'inactive'} (${keeper.kind})\n`);
      if (action === 'status' && !isActive) process.exitCode = 3; // as LSB says
    });
}

function inWords({ version, before, state, keeper }: Installed, status: AgentStatusFile | undefined): string {
  const what =
    before === undefined || before === version
      ? `The mobility agent ${version} is installed`
      : `The mobility agent ${version} took over from ${before}`;
  const how = keeper === 'systemd' ? 'by systemd' : 'by a script in /etc/init.d';
  if (state === 'waits')
    return `${what}. Enrol this machine with 'secondsite-agent enrol --server HOST:PORT', then 'secondsite-agent service start'.`;
  const server = status === undefined ? '' : ` for the process server ${status.server}`;
  return `${what} and runs${server}, kept running ${how}.`;
}

function tell(json: true | undefined, value: object, words: string): void {
  process.stdout.write(`${json ? JSON.stringify(value) : words}\n`);
}
