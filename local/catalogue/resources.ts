import { stableGuid } from '../identity/tenant.ts';
import type { Catalogue, StorageAccount, VirtualNetwork } from './catalogue-file.ts';

/** What a request asks about: the subscription's id, whose it is, and what the catalogue file says. */
export type Target = { subscriptionId: string; tenantId: string; catalogue: Catalogue };

/** Azure's regions that the catalogue knows. */
const LOCATIONS = {
  eastus: 'East US',
  eastus2: 'East US 2',
  centralus: 'Central US',
  southcentralus: 'South Central US',
  westus: 'West US',
  westus2: 'West US 2',
  westus3: 'West US 3',
  canadacentral: 'Canada Central',
  northeurope: 'North Europe',
  westeurope: 'West Europe',
  uksouth: 'UK South',
  germanywestcentral: 'Germany West Central',
  japaneast: 'Japan East',
  southeastasia: 'Southeast Asia',
  australiaeast: 'Australia East',
};

export function subscriptionBody({ subscriptionId, tenantId, catalogue }: Target): object {
  return {
    id: `/subscriptions/${subscriptionId}`,
    subscriptionId,
    tenantId,
    displayName: catalogue.subscriptionName,
    state: 'Enabled',
    authorizationSource: 'RoleBased',
  };
}

export function locationBodies({ subscriptionId }: Target): object[] {
  return Object.entries(LOCATIONS).map(([name, displayName]) => ({
    id: `/subscriptions/${subscriptionId}/locations/${name}`,
    name,
    type: 'Region',
    displayName,
    regionalDisplayName: displayName,
    metadata: { regionType: 'Physical' },
  }));
}

export function storageAccountBody({ subscriptionId }: Target, account: StorageAccount): object {
  const { name, location, kind, sku } = account;
  return {
    id: resourceId(subscriptionId, account, 'Microsoft.Storage/storageAccounts'),
    name,
    type: 'Microsoft.Storage/storageAccounts',
    location,
    kind,
    sku: { name: sku, tier: sku.split('_')[0] },
    tags: {},
    properties: {
      provisioningState: 'Succeeded',
      primaryLocation: location,
      statusOfPrimary: 'available',
      supportsHttpsTrafficOnly: true,
    },
  };
}

export function virtualNetworkBody(target: Target, network: VirtualNetwork): object {
  const id = resourceId(target.subscriptionId, network, 'Microsoft.Network/virtualNetworks');
  return {
    id,
    name: network.name,
    type: 'Microsoft.Network/virtualNetworks',
    location: network.location,
    etag: etagOf(network),
    tags: {},
    properties: {
      provisioningState: 'Succeeded',
      resourceGuid: stableGuid(id),
      addressSpace: { addressPrefixes: network.addressPrefixes },
      subnets: subnetBodies(target, network),
      enableDdosProtection: false,
    },
  };
}

export function subnetBodies({ subscriptionId }: Target, network: VirtualNetwork): { name: string }[] {
  const networkId = resourceId(subscriptionId, network, 'Microsoft.Network/virtualNetworks');
  return network.subnets.map(({ name, addressPrefix }) => ({
    id: `${networkId}/subnets/${name}`,
    name,
    type: 'Microsoft.Network/virtualNetworks/subnets',
    etag: etagOf(network),
    properties: { provisioningState: 'Succeeded', addressPrefix },
  }));
}

function etagOf(network: VirtualNetwork): string {
  return `W/"${stableGuid(JSON.stringify(network))}"`;
}

function resourceId(
  subscriptionId: string,
  resource: { name: string; resourceGroup: string },
  type: string,
): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${resource.resourceGroup}/providers/${type}/${resource.name}`;
}
