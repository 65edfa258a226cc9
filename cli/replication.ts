import type {
  ProtectableItem,
  RunAsAccount,
  VMwareDetails,
  VMwareVirtualMachineDetails,
} from '@azure/arm-recoveryservices-siterecovery';
import { Command } from 'commander';
import { z } from 'zod';
import { DomainError } from '../shared/fault.ts';
import { inColumns } from './appliance-status.ts';
import { print } from './appliance-options.ts';
import { networkId, storageAccountId } from './vault.ts';
import {
  awaited,
  listAll,
  polling,
  vaultCommand,
  VaultClient,
  type Place,
  type VaultOptions,
} from './vault-client.ts';

type OnServer = VaultOptions & { server?: string };

/** `secondsite vcenter|machine|policy|protect|unprotect|item|point|job …`: replication, through the vault's API. */
export function addReplicationCommands(program: Command): void {
  program
    .command('vcenter')
    .description('vCenter servers and ESXi hosts of the vault')
    .addCommand(addVCenterCommand());
  program.command('machine').description('machines that were discovered').addCommand(listMachinesCommand());
  program.command('policy').description('replication policies').addCommand(createPolicyCommand());
  program.addCommand(protectCommand());
  program.addCommand(unprotectCommand());
  program.command('item').description('protected machines').addCommand(listItemsCommand());
  const point = program.command('point').description('recovery points of a protected machine');
  point.addCommand(listPointsCommand());
  point.addCommand(createPointCommand());
  const job = program.command('job').description('jobs');
  job.addCommand(listJobsCommand());
  job.addCommand(watchJobCommand());
}

function onServer(name: string, description: string): Command {
  return vaultCommand(name, description).option(
    '--server <name>',
    'the configuration server, where there are several',
  );
}

function addVCenterCommand(): Command {
  return onServer('add', 'add a vCenter server or ESXi host, and discover it')
    .argument('<name>', 'what to call it in the vault')
    .requiredOption('--address <host>', 'its address or name')
    .option('--port <number>', 'its port', '443')
    .requiredOption('--account <name>', 'name of the account on the configuration server')
    .action(async (name: string, options: OnServer & { address: string; port: string; account: string }) => {
      const client = await VaultClient.open(options);
      const place = await client.place(options.server);
      const added = await client.siteRecovery.replicationvCenters.beginCreateAndWait(
        ...client.names,
        place.fabricName,
        name,
        {
          properties: {
            friendlyName: name,
            ipAddress: options.address,
            port: options.port,
            processServerId: place.serverId,
            runAsAccountId: await accountId(client, place, options.account),
          },
        },
        polling,
      );
      const { discoveryStatus = '' } = added.properties ?? {};
      print(options.json, added, `${name} was added; discovery: ${discoveryStatus}.`);
    });
}

/** The vault hears of a new account a few seconds later. */
async function accountId(client: VaultClient, place: Place, name: string): Promise<string> {
  const found = await awaited(async () =>
    (await accountsOf(client, place)).find(({ accountName }) => accountName === name),
  );
  if (found?.accountId !== undefined) return found.accountId;
  const known = (await accountsOf(client, place)).map(({ accountName }) => accountName).join(', ');
  throw new DomainError({
    code: 'ResourceNotFound',
    message: `The configuration server has no account '${name}'. It has: ${known || 'none'}.`,
    recommendedAction: "Add it there: 'secondsite appliance accounts add'.",
  });
}

async function accountsOf(client: VaultClient, { fabricName }: Place): Promise<RunAsAccount[]> {
  const { properties } = await client.siteRecovery.replicationFabrics.get(...client.names, fabricName);
  const details = properties?.customDetails as VMwareDetails | undefined; // the only kind here
  return details?.runAsAccounts ?? [];
}

function listMachinesCommand(): Command {
  return onServer('list', 'list them').action(async (options: OnServer) => {
    const client = await VaultClient.open(options);
    const machines = await machinesOf(client, await client.place(options.server));
    const rows = machines.map(machineRow);
    const head = ['MACHINE', 'OS', 'POWER', 'DISKS', 'PROTECTION', 'WHAT IS IN THE WAY'];
    print(options.json, machines, inColumns([head, ...rows]));
  });
}

function machineRow({ properties }: ProtectableItem): string[] {
  const details = properties?.customDetails as VMwareVirtualMachineDetails | undefined; // the only kind here
  const { osType = '', poweredOn = '', diskDetails = [] } = details ?? {};
  const disks = diskDetails.map(({ diskSizeInMB }) => `${diskSizeInMB} MB`).join(' + ');
  const { friendlyName = '', protectionStatus = '', protectionReadinessErrors = [] } = properties ?? {};
  return [friendlyName, osType, poweredOn, disks, protectionStatus, protectionReadinessErrors.join(' ')];
}

async function machinesOf(client: VaultClient, { fabricName, containerName }: Place) {
  const { replicationProtectableItems } = client.siteRecovery;
  return listAll(
    replicationProtectableItems.listByReplicationProtectionContainers(
      ...client.names,
      fabricName,
      containerName,
    ),
  );
}

interface PolicyFlags {
  rpoThreshold: string;
  retention: string;
  crashConsistent: string;
  appConsistent: string;
}

function createPolicyCommand(): Command {
  return onServer('create', 'make a policy, and associate it with the configuration server')
    .argument('<name>', 'what to call it')
    .option('--rpo-threshold <minutes>', 'warn when the newest recovery point is older', '60')
    .option('--retention <hours>', 'how long recovery points are kept', '24')
    .option('--crash-consistent <minutes>', 'how often a crash-consistent point is made', '5')
    .option('--app-consistent <minutes>', 'how often an application-consistent one is; 0: never', '60')
    .action(async (name: string, options: OnServer & PolicyFlags) => {
      const client = await VaultClient.open(options);
      const { fabricName, containerName } = await client.place(options.server);
      const { replicationPolicies, replicationProtectionContainerMappings } = client.siteRecovery;
      const providerSpecificInput = {
        instanceType: 'InMageAzureV2' as const,
        recoveryPointThresholdInMinutes: Number(options.rpoThreshold),
        recoveryPointHistory: Number(options.retention) * 60,
        crashConsistentFrequencyInMinutes: Number(options.crashConsistent),
        appConsistentFrequencyInMinutes: Number(options.appConsistent),
        multiVmSyncStatus: 'Enable' as const,
      };
      const body = { properties: { providerSpecificInput } };
      const made = await replicationPolicies.beginCreateAndWait(...client.names, name, body, polling);
      await replicationProtectionContainerMappings.beginCreateAndWait(
        ...client.names,
        fabricName,
        containerName,
        name,
        { properties: { policyId: made.id ?? '', targetProtectionContainerId: 'Microsoft Azure' } },
        polling,
      );
      print(options.json, made, `The policy ${name} is there, and associated with the configuration server.`);
    });
}

interface ProtectFlags {
  policy: string;
  storageAccount?: string;
  network?: string;
  subnet?: string;
}

function protectCommand(): Command {
  return onServer('protect', "enable a machine's replication; 'job watch EnableDr' follows it")
    .argument('<machine>', 'its name')
    .requiredOption('--policy <name>', 'the replication policy')
    .option('--storage-account <name or id>', 'where its data goes')
    .option('--network <name or id>', 'where it comes up')
    .option('--subnet <name>', 'subnet of the network')
    .action(async (name: string, options: OnServer & ProtectFlags) => {
      const client = await VaultClient.open(options);
      const place = await client.place(options.server);
      const machines = await machinesOf(client, place);
      const machine = machines.find(({ properties }) => properties?.friendlyName === name);
      if (machine === undefined) throw noMachine(name);
      await client.siteRecovery.replicationProtectedItems.beginCreate(
        ...client.names,
        place.fabricName,
        place.containerName,
        name,
        {
          properties: {
            policyId: `${client.vaultId}/replicationPolicies/${options.policy}`,
            protectableItemId: machine.id ?? '',
            providerSpecificDetails: {
              instanceType: 'InMageAzureV2',
              processServerId: place.serverId,
              masterTargetId: place.serverId,
              targetAzureV2ResourceGroupId: client.groupId,
              ...targetOf(client, options),
            },
          },
        },
      );
      print(options.json, { machine: name }, `Replication of ${name} is being enabled.`);
    });
}

function targetOf(client: VaultClient, { storageAccount, network, subnet }: ProtectFlags) {
  return {
    ...(storageAccount !== undefined && { logStorageAccountId: storageAccountId(client, storageAccount) }),
    ...(network !== undefined && { targetAzureNetworkId: networkId(client, network) }),
    ...(subnet !== undefined && { targetAzureSubnetId: subnet }),
  };
}

function unprotectCommand(): Command {
  return onServer('unprotect', "disable a machine's replication; its recovery points go")
    .argument('<machine>', 'name of the protected item')
    .action(async (name: string, options: OnServer) => {
      const client = await VaultClient.open(options);
      const { fabricName, containerName } = await client.place(options.server);
      const body = { properties: { disableProtectionReason: 'NotSpecified' as const } };
      await client.siteRecovery.replicationProtectedItems.beginDeleteAndWait(
        ...client.names,
        fabricName,
        containerName,
        name,
        body,
        polling,
      );
      print(options.json, { machine: name }, `${name} is not replicated any more.`);
    });
}

function listItemsCommand(): Command {
  return vaultCommand('list', 'list them, with their state and health').action(
    async (options: VaultOptions) => {
      const client = await VaultClient.open(options);
      const items = await listAll(client.siteRecovery.replicationProtectedItems.list(...client.names));
      const rows = items.map(({ properties }) => {
        const {
          friendlyName = '',
          protectionState = '',
          replicationHealth = '',
          policyFriendlyName = '',
        } = properties ?? {};
        const errors = properties?.healthErrors?.map(({ errorMessage }) => errorMessage).join(' ') ?? '';
        return [friendlyName, protectionState, replicationHealth, policyFriendlyName, errors];
      });
      print(
        options.json,
        items,
        inColumns([['MACHINE', 'STATE', 'HEALTH', 'POLICY', 'WHAT IS WRONG'], ...rows]),
      );
    },
  );
}

function listPointsCommand(): Command {
  return onServer('list', 'list them, newest first')
    .argument('<machine>', 'name of the protected item')
    .action(async (name: string, options: OnServer) => {
      const client = await VaultClient.open(options);
      const { fabricName, containerName } = await client.place(options.server);
      const points = await listAll(
        client.siteRecovery.recoveryPoints.listByReplicationProtectedItems(
          ...client.names,
          fabricName,
          containerName,
          name,
        ),
      );
      const rows = points.map(({ properties }) => [
        properties?.recoveryPointTime?.toISOString() ?? '',
        properties?.recoveryPointType ?? '',
      ]);
      print(options.json, points, inColumns([['TIME', 'CONSISTENCY'], ...rows]));
    });
}

function createPointCommand(): Command {
  return onServer(
    'create',
    "make one now, beside the policy's own; 'job watch CreateRecoveryPoint' follows it",
  )
    .argument('<machine>', 'name of the protected item')
    .action(async (name: string, options: OnServer) => {
      const client = await VaultClient.open(options);
      const { fabricName, containerName } = await client.place(options.server);
      const protectedItemId = `${client.vaultId}/replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}/replicationProtectedItems/${name}`;
      await client.ask('POST', 'recoveryPoints', z.unknown(), { properties: { protectedItemId } });
      print(options.json, { machine: name }, `A recovery point of ${name} is being made.`);
    });
}

function listJobsCommand(): Command {
  return vaultCommand('list', 'list them, newest first').action(async (options: VaultOptions) => {
    const client = await VaultClient.open(options);
    const jobs = await listAll(client.siteRecovery.replicationJobs.list(...client.names));
    const rows = jobs.map(({ properties }) => [
      properties?.friendlyName ?? '',
      properties?.targetObjectName ?? '',
      properties?.state ?? '',
      properties?.startTime?.toISOString() ?? '',
    ]);
    print(options.json, jobs, inColumns([['JOB', 'OF', 'STATE', 'STARTED'], ...rows]));
  });
}

function watchJobCommand(): Command {
  return vaultCommand('watch', 'follow one to its end; exit code 1 when it does not succeed')
    .argument('<job>', 'its id, or the scenario of the newest: EnableDr, IrCompletion, …')
    .action(async (wanted: string, options: VaultOptions) => {
      const client = await VaultClient.open(options);
      const jobId = await awaited(() => findJob(client, wanted));
      if (jobId === undefined) throw noJob(wanted);
      const tell = (line: string): void => void (options.json ? '' : process.stdout.write(`${line}\n`));
      const job = await client.followJob(jobId, tell);
      print(options.json, job, `${job.properties?.friendlyName}: ${job.properties?.state}`);
    });
}

async function findJob(client: VaultClient, wanted: string): Promise<string | undefined> {
  for await (const { name, properties } of client.siteRecovery.replicationJobs.list(...client.names)) {
    if (name === wanted || properties?.scenarioName === wanted) return name;
  }
  return undefined;
}

function noMachine(name: string): DomainError {
  return new DomainError({
    code: 'ResourceNotFound',
    message: `No machine '${name}' was discovered.`,
    recommendedAction: "See 'secondsite machine list'; 'secondsite server refresh' discovers anew.",
  });
}

function noJob(wanted: string): DomainError {
  return new DomainError({
    code: 'ResourceNotFound',
    message: `There is no job '${wanted}'.`,
    recommendedAction: "See 'secondsite job list'.",
  });
}
