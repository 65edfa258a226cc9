/** Looks at the target subscription through ARM. Imported when it is first needed: the ARM clients are large. */
import { NetworkManagementClient } from '@azure/arm-network';
import { StorageManagementClient } from '@azure/arm-storage';
import { type TokenCredential } from '@azure/core-auth';
import { DomainError } from '../fault.ts';
import {
  type NetworkFacts,
  type StorageFacts,
  type TargetCheck,
  checkNetwork,
  checkStorage,
  seen,
  unseen,
} from './target-check.ts';

/** Where the target's ARM is, and who we are there. */
export type TargetAccess = { endpoint: string; scope: string; credential: TokenCredential };

/** What is not given is not looked at. */
export type TargetQuestion = {
  storageAccountId?: string | undefined;
  virtualNetworkId?: string | undefined;
  subnetName?: string | undefined;
  /** The vault's region. */
  region: string;
};

type ResourceId = { subscriptionId: string; resourceGroup: string; name: string };

/**
 * Checks the storage account and the network that a machine shall be replicated to.
 * @throws InvalidRequest for ids of something else, Unavailable when the target's ARM can not be reached.
 */
export async function checkTargetEnvironment(
  access: TargetAccess,
  question: TargetQuestion,
): Promise<{ compatible: boolean; checks: TargetCheck[] }> {
  const [storageChecks, networkChecks] = await Promise.all([
    lookAtStorage(access, question),
    lookAtNetwork(access, question),
  ]);
  const checks = [...storageChecks, ...networkChecks];
  return { compatible: checks.every(({ outcome }) => outcome === 'Passed'), checks };
}

async function lookAtStorage(access: TargetAccess, question: TargetQuestion): Promise<TargetCheck[]> {
  const { storageAccountId: id, region } = question;
  if (id === undefined) return [];
  const account = resourceIn(id, 'Microsoft.Storage/storageAccounts', 'storageAccountId');
  return look(() => readStorage(access, account), {
    name: 'StorageAccount',
    id,
    judge: (facts) => checkStorage(facts, region),
  });
}

async function lookAtNetwork(access: TargetAccess, question: TargetQuestion): Promise<TargetCheck[]> {
  const { virtualNetworkId: id, subnetName = '', region } = question;
  if (id === undefined) return [];
  const network = resourceIn(id, 'Microsoft.Network/virtualNetworks', 'virtualNetworkId');
  return look(() => readNetwork(access, network), {
    name: 'Network',
    id,
    judge: (facts) => checkNetwork(facts, subnetName, region),
  });
}

async function look<T>(
  read: () => Promise<T>,
  what: { name: 'StorageAccount' | 'Network'; id: string; judge: (facts: T) => TargetCheck[] },
): Promise<TargetCheck[]> {
  try {
    const facts = await read();
    return [seen(what.name, what.id), ...what.judge(facts)];
  } catch (error) {
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 0;
    if (status === 404) return [unseen(what.name, { id: what.id, reason: 'NotFound' })];
    if (status === 401 || status === 403) return [unseen(what.name, { id: what.id, reason: 'Forbidden' })];
    throw new DomainError(
      {
        code: 'Unavailable',
        message: 'The target subscription can not be asked just now.',
        recommendedAction:
          "Repeat the request in a few seconds; should it stay so, check the service's identity.",
      },
      { cause: error },
    );
  }
}

async function readStorage(access: TargetAccess, account: ResourceId): Promise<StorageFacts> {
  const client = new StorageManagementClient(access.credential, account.subscriptionId, options(access));
  const found = await client.storageAccounts.getProperties(account.resourceGroup, account.name);
  return {
    name: account.name,
    location: found.location ?? '',
    kind: found.kind ?? '',
    sku: found.sku?.name ?? '',
  };
}

async function readNetwork(access: TargetAccess, network: ResourceId): Promise<NetworkFacts> {
  const client = new NetworkManagementClient(access.credential, network.subscriptionId, options(access));
  const found = await client.virtualNetworks.get(network.resourceGroup, network.name);
  return {
    name: network.name,
    location: found.location ?? '',
    subnets: (found.subnets ?? []).map((subnet) => ({
      name: subnet.name ?? '',
      prefixes: subnet.addressPrefixes ?? (subnet.addressPrefix === undefined ? [] : [subnet.addressPrefix]),
    })),
  };
}

function options({ endpoint, scope }: TargetAccess) {
  return {
    endpoint,
    credentials: { scopes: [scope] },
    retryOptions: { maxRetries: 2, retryDelayInMs: 300, maxRetryDelayInMs: 1_000 },
  };
}

function resourceIn(id: string, type: string, target: string): ResourceId {
  const [namespace, kind] = type.split('/');
  const pattern = new RegExp(
    `^/subscriptions/([0-9a-f-]{36})/resourceGroups/([^/]{1,90})/providers/${namespace}/${kind}/([^/]{1,80})$`,
    'iu',
  );
  const [, subscriptionId, resourceGroup, name] = pattern.exec(id) ?? [];
  if (subscriptionId !== undefined && resourceGroup !== undefined && name !== undefined) {
    return { subscriptionId, resourceGroup, name };
  }
  throw new DomainError({
    code: 'InvalidRequest',
    message: `'${id.slice(0, 300)}' is not the ARM id of a resource of type ${type}.`,
    target,
    recommendedAction:
      'Send the whole id, beginning with /subscriptions/. Classic resources are not supported.',
  });
}
