import { resolve } from 'node:path';
import { Command } from 'commander';
import { TargetEnvironmentAnswer } from '../shared/wire/own-api.ts';
import { RegistrationKeyFile } from '../shared/wire/registration.ts';
import { writeSecretFile } from '../shared/secret-file.ts';
import { inColumns } from './appliance-status.ts';
import { print } from './appliance-options.ts';
import { polling, vaultCommand, VaultClient, type VaultOptions } from './vault-client.ts';

/** `secondsite vault …`, `server …`, `target …`: the vault, its configuration servers, where machines go. */
export function addVaultCommands(program: Command): void {
  const vault = program.command('vault').description('the vault');
  vault.addCommand(createCommand());
  vault.addCommand(keyCommand());
  const server = program.command('server').description('configuration servers of the vault');
  server.addCommand(listServersCommand());
  server.addCommand(refreshServerCommand());
  program.command('target').description('where machines are replicated to').addCommand(checkTargetCommand());
}

function createCommand(): Command {
  return vaultCommand('create', 'make the vault; one that is there stays')
    .requiredOption('--location <region>', 'its region, such as eastus')
    .action(async (options: VaultOptions & { location: string }) => {
      const client = await VaultClient.open(options);
      const { resourceGroup, vault, location } = options;
      const made = await client.vaults.vaults.createOrUpdate(resourceGroup, vault, {
        location,
        sku: { name: 'Standard' },
        properties: {},
      });
      print(options.json, made, `The vault ${made.name} is in ${made.location}.`);
    });
}

function keyCommand(): Command {
  return vaultCommand('key', 'make a registration key, good for five days and one configuration server')
    .requiredOption('--out <file>', 'where to write it; only you can read it')
    .action(async (options: VaultOptions & { out: string }) => {
      const client = await VaultClient.open(options);
      const key = await client.ask('POST', 'registrationKeys', RegistrationKeyFile);
      const out = resolve(options.out);
      writeSecretFile(out, `${JSON.stringify(key, null, 2)}\n`);
      print(options.json, { out, expiresAt: key.expiresAt }, `Wrote ${out}, good until ${key.expiresAt}.`);
    });
}

function listServersCommand(): Command {
  return vaultCommand('list', 'list them, with their health').action(async (options: VaultOptions) => {
    const client = await VaultClient.open(options);
    const rows = [['SERVER', 'VERSION', 'CONNECTION', 'HEALTH']];
    const servers: object[] = [];
    for await (const { properties } of client.siteRecovery.replicationRecoveryServicesProviders.list(
      ...client.names,
    )) {
      const { friendlyName = '', providerVersion = '', connectionStatus = '' } = properties ?? {};
      const errors = properties?.healthErrorDetails ?? [];
      servers.push({ ...properties });
      const health =
        errors.length === 0 ? 'Normal' : errors.map(({ errorMessage }) => errorMessage).join(' ');
      rows.push([friendlyName, providerVersion, connectionStatus, health]);
    }
    print(options.json, servers, inColumns(rows));
  });
}

function refreshServerCommand(): Command {
  return vaultCommand('refresh', 'discover its vCenter servers now')
    .option('--server <name>', 'which one, where there are several')
    .action(async (options: VaultOptions & { server?: string }) => {
      const client = await VaultClient.open(options);
      const { fabricName, serverId } = await client.place(options.server);
      await client.siteRecovery.replicationRecoveryServicesProviders.beginRefreshProviderAndWait(
        ...client.names,
        fabricName,
        serverId,
        polling,
      );
      print(options.json, { serverId }, 'Every vCenter server was discovered.');
    });
}

function checkTargetCommand(): Command {
  return vaultCommand('check', 'whether a storage account and a network can take machines; exit code 1: no')
    .requiredOption('--storage-account <name or id>', 'the storage account')
    .requiredOption('--network <name or id>', 'the virtual network')
    .requiredOption('--subnet <name>', 'its subnet')
    .action(async (options: VaultOptions & { storageAccount: string; network: string; subnet: string }) => {
      const client = await VaultClient.open(options);
      const query = new URLSearchParams({
        storageAccountId: storageAccountId(client, options.storageAccount),
        virtualNetworkId: networkId(client, options.network),
        subnetName: options.subnet,
      });
      const path = `targetEnvironment?${query.toString()}`;
      const answer = await client.ask('GET', path, TargetEnvironmentAnswer);
      const rows = answer.checks.map(({ name, outcome, found, action }) => [name, outcome, found, action]);
      print(options.json, answer, inColumns([['CHECK', 'OUTCOME', 'FOUND', 'WHAT TO DO'], ...rows]));
      if (!answer.compatible) process.exitCode = 1;
    });
}

/** ARM id of a storage account of the vault's resource group, or the id given. */
export function storageAccountId(client: VaultClient, nameOrId: string): string {
  return idOf(client, 'Microsoft.Storage/storageAccounts', nameOrId);
}

/** ARM id of a virtual network of the vault's resource group, or the id given. */
export function networkId(client: VaultClient, nameOrId: string): string {
  return idOf(client, 'Microsoft.Network/virtualNetworks', nameOrId);
}

function idOf({ groupId }: VaultClient, type: string, nameOrId: string): string {
  return nameOrId.startsWith('/') ? nameOrId : `${groupId}/providers/${type}/${nameOrId}`;
}
