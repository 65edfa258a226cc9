/** How the command line reaches a vault: the official SDK clients, and plain requests for what they have no operation for. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { RecoveryServicesClient } from '@azure/arm-recoveryservices';
import { type Job, SiteRecoveryManagementClient } from '@azure/arm-recoveryservices-siterecovery';
import type { TokenCredential } from '@azure/core-auth';
import { Command, Option } from 'commander';
import { z } from 'zod';
import { DomainError } from '../shared/fault.ts';

/** What every command about a vault takes. */
export interface VaultOptions {
  endpoint: string;
  subscription: string;
  resourceGroup: string;
  vault: string;
  tokenFile?: string;
  json?: true;
}

const scope = 'https://management.azure.com/.default';
const lookAgainMs = 500;
/** For what follows by itself: a job after another, an account that the vault has yet to hear of. */
const patienceMs = 20_000;
/** How often a long-running operation is asked about. */
export const polling = { updateIntervalInMs: 500 };

function required(flags: string, words: string, variable: string): Option {
  return new Option(flags, words).env(variable).makeOptionMandatory();
}

/** Looks again for a while until there is something. @returns undefined when there is nothing still */
export async function awaited<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadlineMs = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined || Date.now() > deadlineMs) return found;
    await delay(lookAgainMs);
  }
}

/** Everything a paged list has. */
export async function listAll<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of pages) all.push(one);
  return all;
}

/** A command about a vault. Its options can be exported: `secondsite local env` prints them for the local platform. */
export function vaultCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(required('--endpoint <url>', "the function app's address", 'SECONDSITE_ENDPOINT'))
    .addOption(required('--subscription <guid>', "the vault's subscription", 'SECONDSITE_SUBSCRIPTION'))
    .addOption(required('--resource-group <name>', "the vault's resource group", 'SECONDSITE_RESOURCE_GROUP'))
    .addOption(required('--vault <name>', 'the vault', 'SECONDSITE_VAULT'))
    .addOption(
      new Option('--token-file <file>', 'a bearer token; without, whoever is signed in to Azure').env(
        'SECONDSITE_TOKEN_FILE',
      ),
    )
    .option('--json', 'print JSON');
}

/** One vault, as its clients see it. */
export class VaultClient {
  readonly vaults: RecoveryServicesClient;
  readonly siteRecovery: SiteRecoveryManagementClient;
  /** Vault and resource group, with which every Site Recovery operation begins. */
  readonly names: [vaultName: string, resourceGroup: string];
  /** ARM id of the resource group. */
  readonly groupId: string;
  readonly vaultId: string;
  readonly #endpoint: string;
  readonly #credential: TokenCredential;

  private constructor(options: VaultOptions, credential: TokenCredential) {
    const { endpoint, subscription, resourceGroup, vault } = options;
    this.#endpoint = endpoint.replace(/\/+$/u, '');
    this.#credential = credential;
    this.vaults = new RecoveryServicesClient(credential, subscription, { endpoint });
    this.siteRecovery = new SiteRecoveryManagementClient(credential, subscription, { endpoint });
    this.names = [vault, resourceGroup];
    this.groupId = `/subscriptions/${subscription}/resourceGroups/${resourceGroup}`;
    this.vaultId = `${this.groupId}/providers/Microsoft.RecoveryServices/vaults/${vault}`;
  }

  static async open(options: VaultOptions): Promise<VaultClient> {
    return new VaultClient(options, await credentialOf(options.tokenFile));
  }

  /**
   * Asks for one of Secondsite's own operations, below `{vault}/secondsite/`.
   * @throws DomainError with what the API says
   */
  async ask<T>(method: 'GET' | 'POST', path: string, answer: z.ZodType<T>, body?: object): Promise<T> {
    const token = await this.#credential.getToken(scope);
    const response = await fetch(`${this.#endpoint}${this.vaultId}/secondsite/${path}`, {
      method,
      headers: { authorization: `Bearer ${token?.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const told: unknown = text === '' ? undefined : JSON.parse(text);
    if (response.ok) return answer.parse(told);
    const { error } = ErrorAnswer.parse(told);
    throw new DomainError({ code: 'RemoteFailure', message: `${error.code}: ${error.message}` });
  }

  /** The one fabric, its container and its provider, or those of the server with this name. */
  async place(serverName: string | undefined): Promise<Place> {
    const found: Place[] = [];
    for await (const { properties } of this.siteRecovery.replicationRecoveryServicesProviders.list(
      ...this.names,
    )) {
      const { fabricFriendlyName = '', draIdentifier = '' } = properties ?? {};
      if (serverName === undefined || fabricFriendlyName === serverName || draIdentifier === serverName)
        found.push(await this.#placeOf(draIdentifier));
    }
    return onlyOne(found, serverName === undefined ? '' : ` named '${serverName}'`);
  }

  async #placeOf(serverId: string): Promise<Place> {
    const containerName = `cloud_${serverId}`;
    for await (const { id = '', name } of this.siteRecovery.replicationProtectionContainers.list(
      ...this.names,
    )) {
      const fabricName = /replicationFabrics\/([^/]+)/iu.exec(id)?.[1];
      if (name === containerName && fabricName !== undefined) return { serverId, fabricName, containerName };
    }
    throw new DomainError({
      code: 'ResourceNotFound',
      message: `The configuration server ${serverId} has no container.`,
    });
  }

  /**
   * Follows a job to its end, telling each task that begins or ends.
   * @throws DomainError with the job's errors when it does not succeed
   */
  async followJob(jobId: string, tell: (line: string) => void): Promise<Job> {
    const told = new Map<string, string>();
    for (;;) {
      const job = await this.siteRecovery.replicationJobs.get(...this.names, jobId);
      tellTasks(job, told, tell);
      const { state = '' } = job.properties ?? {};
      if (/Succeeded|CompletedWithInformation/u.test(state)) return job;
      if (!/NotStarted|InProgress/u.test(state)) throw failed(job);
      await delay(lookAgainMs);
    }
  }
}

function onlyOne([only, ...others]: Place[], words: string): Place {
  if (only === undefined) {
    throw new DomainError({
      code: 'ResourceNotFound',
      message: `The vault has no configuration server${words}.`,
      recommendedAction: "Set one up with a registration key: 'secondsite vault key'.",
    });
  }
  if (others.length === 0) return only;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The vault has several configuration servers${words}.`,
    recommendedAction: 'Name one with --server (name or id).',
  });
}

function tellTasks(job: Job, told: Map<string, string>, tell: (line: string) => void): void {
  for (const { name = '', state = '', friendlyName } of job.properties?.tasks ?? []) {
    if (/NotStarted|InProgress/u.test(state) || told.get(name) === state) continue;
    told.set(name, state);
    tell(`  ${friendlyName}: ${state}`);
  }
}

/** Where a configuration server's machines are. */
export interface Place {
  serverId: string;
  fabricName: string;
  containerName: string;
}

const ErrorAnswer = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

function failed({ name, properties }: Job): DomainError {
  const errors = properties?.errors ?? [];
  const words = `${properties?.friendlyName ?? name}: ${properties?.state}`;
  const reasons = errors.map(({ serviceErrorDetails }) =>
    [serviceErrorDetails?.message, serviceErrorDetails?.recommendedAction].filter(Boolean).join(' '),
  );
  return new DomainError({ code: 'RemoteFailure', message: [words, ...reasons].join('\n') });
}

async function credentialOf(tokenFile: string | undefined): Promise<TokenCredential> {
  if (tokenFile === undefined) {
    const { DefaultAzureCredential } = await import('@azure/identity');
    return new DefaultAzureCredential();
  }
  return {
    // Read at each use: whoever renews it writes the file anew.
    getToken: async () => ({
      token: readFileSync(tokenFile, 'utf8').trim(),
      expiresOnTimestamp: Date.now() + 60_000,
    }),
  };
}
