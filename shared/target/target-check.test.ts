import { describe, expect, it } from 'vitest';
import { checkNetwork, checkStorage } from './target-check.ts';

const account = { name: 'contoso', location: 'East US', kind: 'StorageV2', sku: 'Standard_LRS' };
const failed = (checks: { name: string; outcome: string }[]): string[] =>
  checks.filter(({ outcome }) => outcome === 'Failed').map(({ name }) => name);

describe('a storage account', () => {
  it.each([
    ['as it should be', {}, []],
    ['in another region', { location: 'westus' }, ['StorageRegion']],
    ['of a kind for files', { kind: 'FileStorage' }, ['StorageKind']],
    ['with zone redundancy', { sku: 'Standard_ZRS' }, ['StorageRedundancy']],
    ['with geo-zone redundancy', { sku: 'Standard_RAGZRS' }, ['StorageRedundancy']],
    ['with geo redundancy', { sku: 'Standard_RAGRS' }, []],
  ])('%s', (_, change, wrong) => {
    expect(failed(checkStorage({ ...account, ...change }, 'eastus'))).toEqual(wrong);
  });
});

describe('a network', () => {
  it.each([
    ['with the subnet', ['10.0.0.0/24'], []],
    ['with the smallest subnet that has room', ['10.0.0.0/29'], []],
    ['with a subnet that is too small', ['10.0.0.0/30'], ['Subnet']],
    ['with an IPv6 subnet only', ['fd00::/64'], ['Subnet']],
    ['with both families', ['fd00::/64', '10.0.0.0/24'], []],
  ])('%s', (_, prefixes, wrong) => {
    const network = { name: 'net', location: 'eastus', subnets: [{ name: 'Default', prefixes }] };
    expect(failed(checkNetwork(network, 'default', 'eastus'))).toEqual(wrong);
  });
});
