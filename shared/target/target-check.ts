/**
 * Whether a storage account and a network can be what machines are replicated to. The rules, without any look-up.
 * Source: https://learn.microsoft.com/azure/site-recovery/vmware-physical-azure-support-matrix
 */

/** One thing that was looked at. */
export type TargetCheck = {
  name:
    | 'StorageAccount'
    | 'StorageRegion'
    | 'StorageKind'
    | 'StorageRedundancy'
    | 'Network'
    | 'NetworkRegion'
    | 'Subnet';
  outcome: 'Passed' | 'Failed';
  found: string;
  wanted: string;
  /** What to do; empty when it passed. */
  action: string;
};

/** What is to be known of a storage account. */
export type StorageFacts = { name: string; location: string; kind: string; sku: string };
/** What is to be known of a network. */
export type NetworkFacts = {
  name: string;
  location: string;
  subnets: { name: string; prefixes: string[] }[];
};

const kinds = ['StorageV2', 'Storage', 'BlockBlobStorage'];
/** Azure keeps five addresses of each subnet; the machine and a test of it need one each. */
const longestPrefixBits = 29;

export function checkStorage(account: StorageFacts, region: string): TargetCheck[] {
  return [
    check('StorageRegion', sameRegion(account.location, region), {
      found: account.location,
      wanted: region,
      action: `Choose a storage account in '${region}', the region of the vault.`,
    }),
    check('StorageKind', kinds.includes(account.kind), {
      found: account.kind,
      wanted: kinds.join(', '),
      action: 'Choose a general-purpose or block blob storage account.',
    }),
    check('StorageRedundancy', /^(?:Standard|Premium)_(?:LRS|GRS|RAGRS)$/u.test(account.sku), {
      found: account.sku,
      wanted: 'LRS, GRS, RAGRS',
      action: 'Choose a storage account with locally or geo-redundant storage.',
    }),
  ];
}

export function checkNetwork(network: NetworkFacts, subnetName: string, region: string): TargetCheck[] {
  const subnet = network.subnets.find(({ name }) => name.toLowerCase() === subnetName.toLowerCase());
  return [
    check('NetworkRegion', sameRegion(network.location, region), {
      found: network.location,
      wanted: region,
      action: `Choose a virtual network in '${region}', the region of the vault.`,
    }),
    check('Subnet', subnet?.prefixes.some(hasRoom) ?? false, {
      found: subnet === undefined ? 'no such subnet' : subnet.prefixes.join(', '),
      wanted: `a subnet '${subnetName}' with IPv4 addresses, /${longestPrefixBits} or larger`,
      action:
        subnet === undefined
          ? `Use a subnet of the network: ${network.subnets.map(({ name }) => name).join(', ') || 'it has none yet'}.`
          : 'Choose a larger IPv4 subnet.',
    }),
  ];
}

/** Something that is not there, or that the app may not see. */
export function unseen(
  name: 'StorageAccount' | 'Network',
  resource: { id: string; reason: 'NotFound' | 'Forbidden' },
): TargetCheck {
  const forbidden = resource.reason === 'Forbidden';
  return check(name, false, {
    found: forbidden ? 'not to be seen by the service' : 'not there',
    wanted: resource.id,
    action: forbidden
      ? "Give the service's identity the role Reader on it."
      : 'Check the id, or make the resource first.',
  });
}

/** Something that is there. */
export function seen(name: 'StorageAccount' | 'Network', id: string): TargetCheck {
  return check(name, true, { found: id, wanted: id, action: '' });
}

function check(
  name: TargetCheck['name'],
  passed: boolean,
  words: { found: string; wanted: string; action: string },
): TargetCheck {
  return { name, outcome: passed ? 'Passed' : 'Failed', ...words, action: passed ? '' : words.action };
}

function hasRoom(prefix: string): boolean {
  const bits = /^\d{1,3}(?:\.\d{1,3}){3}\/(\d{1,2})$/u.exec(prefix)?.[1];
  return bits !== undefined && Number(bits) <= longestPrefixBits;
}

function sameRegion(left: string, right: string): boolean {
  return bareName(left) === bareName(right);
}

/** 'East US' and 'eastus' are one region. */
function bareName(region: string): string {
  return region.toLowerCase().replaceAll(' ', '');
}
