import type { StorageAccount, VirtualNetwork } from './catalogue-file.ts';
import {
  locationBodies,
  storageAccountBody,
  subnetBodies,
  subscriptionBody,
  type Target,
  virtualNetworkBody,
} from './resources.ts';

/** A refusal in ARM's terms. */
export class ArmError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const STORAGE_ACCOUNTS = 'microsoft.storage/storageaccounts';
const VIRTUAL_NETWORKS = 'microsoft.network/virtualnetworks';

/**
 * What a GET of a path answers. Paths are matched without regard to case, as ARM does.
 * @throws ArmError
 */
export function answerGet(path: string, target: Target): object {
  const segments = path.split('/').filter((segment) => segment !== '');
  const [root, subscriptionId, ...rest] = segments;
  if (!same(root, 'subscriptions')) throw unknownPath(path);
  if (subscriptionId === undefined) return { value: [subscriptionBody(target)] };
  if (!same(subscriptionId, target.subscriptionId)) {
    throw new ArmError(
      404,
      'SubscriptionNotFound',
      `The subscription '${subscriptionId}' could not be found.`,
    );
  }
  if (rest.length === 0) return subscriptionBody(target);
  if (rest.length === 1 && same(rest[0], 'locations')) return { value: locationBodies(target) };
  return answerProvider(path, rest, target);
}

function answerProvider(path: string, segments: string[], target: Target): object {
  const inGroup = same(segments[0], 'resourceGroups');
  const resourceGroup = inGroup ? (segments[1] ?? '') : undefined;
  if (resourceGroup !== undefined) checkResourceGroup(resourceGroup, target);
  const [providers, namespace, type, name, ...rest] = segments.slice(inGroup ? 2 : 0);
  const kind = `${namespace}/${type}`.toLowerCase();
  if (!same(providers, 'providers') || (name !== undefined && resourceGroup === undefined))
    throw unknownPath(path);
  if (kind === STORAGE_ACCOUNTS && rest.length === 0) {
    return answerStorageAccounts(resourceGroup, name, target);
  }
  if (kind === VIRTUAL_NETWORKS) {
    const networks = inResourceGroup(target.catalogue.virtualNetworks, resourceGroup);
    if (name === undefined) return { value: networks.map((network) => virtualNetworkBody(target, network)) };
    return answerVirtualNetwork(
      path,
      find(networks, name, 'Microsoft.Network/virtualNetworks'),
      rest,
      target,
    );
  }
  throw unknownPath(path);
}

function answerStorageAccounts(
  resourceGroup: string | undefined,
  name: string | undefined,
  target: Target,
): object {
  const accounts = inResourceGroup(target.catalogue.storageAccounts, resourceGroup);
  const body = (account: StorageAccount): object => storageAccountBody(target, account);
  return name === undefined
    ? { value: accounts.map(body) }
    : body(find(accounts, name, 'Microsoft.Storage/storageAccounts'));
}

function answerVirtualNetwork(path: string, network: VirtualNetwork, rest: string[], target: Target): object {
  const [type, name, ...further] = rest;
  if (type === undefined) return virtualNetworkBody(target, network);
  if (!same(type, 'subnets') || further.length > 0) throw unknownPath(path);
  const subnets = subnetBodies(target, network);
  return name === undefined
    ? { value: subnets }
    : find(subnets, name, `Microsoft.Network/virtualNetworks/${network.name}/subnets`);
}

function checkResourceGroup(name: string, { catalogue }: Target): void {
  if (!catalogue.resourceGroups.some((group) => same(group, name))) {
    throw new ArmError(404, 'ResourceGroupNotFound', `Resource group '${name}' could not be found.`);
  }
}

function inResourceGroup<T extends { resourceGroup: string }>(
  resources: T[],
  resourceGroup: string | undefined,
): T[] {
  return resources.filter(
    (resource) => resourceGroup === undefined || same(resource.resourceGroup, resourceGroup),
  );
}

function find<T extends { name: string }>(resources: T[], name: string, type: string): T {
  const found = resources.find((resource) => same(resource.name, name));
  if (found === undefined) {
    throw new ArmError(404, 'ResourceNotFound', `The Resource '${type}/${name}' was not found.`);
  }
  return found;
}

function unknownPath(path: string): ArmError {
  return new ArmError(
    404,
    'InvalidResourceType',
    `The local catalogue has subscriptions, locations, storage accounts and virtual networks; not '${path}'.`,
  );
}

function same(left: string | undefined, right: string): boolean {
  return left?.toLowerCase() === right.toLowerCase();
}
