import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import { RecoveryServicesClient } from '@azure/arm-recoveryservices';
import {
  SiteRecoveryManagementClient,
  type ASRTask,
  type Job,
} from '@azure/arm-recoveryservices-siterecovery';
import type { TokenCredential } from '@azure/core-auth';
import { ensureTokenKey, mintToken } from '../identity/token.ts';
import type { LocalConfig } from '../platform/config.ts';

const pollMs = 300;

/** The official clients, unmodified, pointed at the local platform; and plain calls for what Site Recovery has no operation for. */
export class Arm {
  readonly config: LocalConfig;
  readonly vaultName: string;
  readonly vaults: RecoveryServicesClient;
  readonly siteRecovery: SiteRecoveryManagementClient;
  /** Vault and resource group, with which every Site Recovery operation begins. */
  readonly vault: [vaultName: string, resourceGroup: string];
  readonly #credential: TokenCredential;

  constructor(config: LocalConfig, vaultName: string) {
    this.config = config;
    this.vaultName = vaultName;
    // What NODE_EXTRA_CA_CERTS does for a process that starts after the CA was made.
    tls.setDefaultCACertificates([
      ...tls.getCACertificates('default'),
      readFileSync(config.caCertificatePath, 'utf8'),
    ]);
    const key = ensureTokenKey(config.dataFolder);
    const { armEndpoint, subscriptionId, resourceGroup, tenantId, tokenIssuer } = config;
    this.#credential = {
      getToken: async () => {
        const minted = await mintToken({ key, issuer: tokenIssuer, tenantId, role: 'contributor' });
        return { token: minted.token, expiresOnTimestamp: minted.expiresAtMs };
      },
    };
    const options = { endpoint: armEndpoint };
    this.vaults = new RecoveryServicesClient(this.#credential, subscriptionId, options);
    this.siteRecovery = new SiteRecoveryManagementClient(this.#credential, subscriptionId, options);
    this.vault = [vaultName, resourceGroup];
  }

  get vaultId(): string {
    const { subscriptionId, resourceGroup } = this.config;
    return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.RecoveryServices/vaults/${this.vaultName}`;
  }

  /** Calls one of Secondsite's own operations, below the vault. @throws Error with the API's message */
  async call(
    method: 'GET' | 'POST',
    path: string,
    body?: unknown,
  ): Promise<{ body: unknown; jobId: string | undefined }> {
    const token = await this.#credential.getToken('https://management.azure.com/.default');
    const base = this.config.armEndpoint.replace(/\/$/u, '');
    const response = await fetch(`${base}${this.vaultId}/secondsite/${path}`, {
      method,
      headers: { authorization: `Bearer ${token?.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer: unknown = text === '' ? undefined : JSON.parse(text);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return { body: answer, jobId: jobIdIn(response.headers.get('location') ?? undefined) };
  }

  /**
   * Follows a job to its end, telling each change.
   *
   * @throws Error with the job's errors when it fails
   */
  async followJob(jobId: string, onChange: (job: Job) => void = () => {}): Promise<Job> {
    for (let seen = ''; ; await delay(pollMs)) {
      const job = await this.siteRecovery.replicationJobs.get(...this.vault, jobId);
      const now = JSON.stringify(job.properties);
      if (now !== seen) onChange(job);
      seen = now;
      const state = job.properties?.state;
      if (state === 'Succeeded' || state === 'CompletedWithInformation') return job;
      if (state === 'Failed' || state === 'Cancelled') throw new Error(describeFailure(job));
    }
  }
}

/** The job's id out of an LRO's Location header: between `operationresults/` and `?`. */
export function jobIdIn(location: string | undefined): string | undefined {
  return /operationresults\/([^?/]+)/iu.exec(location ?? '')?.[1];
}

/** Catches the first answer's Location of an SDK call. */
export function jobCatcher(): {
  onResponse: (response: { headers: { get(name: string): string | undefined } }) => void;
  jobId: () => string;
} {
  let found: string | undefined;
  return {
    onResponse: (response) => {
      found ??= jobIdIn(response.headers.get('location'));
    },
    jobId: () => {
      if (found === undefined) throw new Error('The operation told no job.');
      return found;
    },
  };
}

/** Tells each task of a job once when it begins and once when it ends. */
export function taskTeller(tell: (task: ASRTask) => void): (job: Job) => void {
  const told = new Map<string, string>();
  return (job) => {
    for (const task of job.properties?.tasks ?? []) {
      const { taskId = '', state = '' } = task;
      if (state === 'NotStarted' || told.get(taskId) === state) continue;
      told.set(taskId, state);
      tell(task);
    }
  };
}

function describeFailure(job: Job): string {
  const errors = job.properties?.errors ?? [];
  const words = errors.map(({ serviceErrorDetails: error }) =>
    [error?.message, error?.recommendedAction].filter(Boolean).join(' '),
  );
  return `${job.properties?.friendlyName} ${job.properties?.state}: ${words.join('; ') || 'no error was told'}`;
}
