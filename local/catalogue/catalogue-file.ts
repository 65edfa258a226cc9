import { join } from 'node:path';
import { z } from 'zod';

import { ensureJsonFile } from '../json-file.ts';

const StorageAccount = z.object({
  name: z.string().min(3).max(24),
  resourceGroup: z.string().min(1),
  location: z.string().min(1),
  kind: z.enum(['StorageV2', 'BlobStorage', 'BlockBlobStorage', 'FileStorage', 'Storage']),
  sku: z.string().min(1),
});

const VirtualNetwork = z.object({
  name: z.string().min(1),
  resourceGroup: z.string().min(1),
  location: z.string().min(1),
  addressPrefixes: z.array(z.string()).min(1),
  subnets: z.array(z.object({ name: z.string().min(1), addressPrefix: z.string() })),
});

const Catalogue = z.object({
  subscriptionName: z.string(),
  resourceGroups: z.array(z.string()),
  storageAccounts: z.array(StorageAccount),
  virtualNetworks: z.array(VirtualNetwork),
});

export type StorageAccount = z.infer<typeof StorageAccount>;
export type VirtualNetwork = z.infer<typeof VirtualNetwork>;

/** What the target subscription has. */
export type Catalogue = z.infer<typeof Catalogue>;

/** The resource group of the local platform's vaults and target resources. */
export const RESOURCE_GROUP = 'ContosoRG';

/**
 * The catalogue of a data folder: `catalogue.json`, made at the first start, yours to edit. It is read at each call,
 * so an edit counts at once.
 */
export function readCatalogue(dataFolder: string): Catalogue {
  return ensureJsonFile(join(dataFolder, 'catalogue.json'), Catalogue, contoso);
}

/** One storage account and network that fit a vault in eastus, and some that do not. */
function contoso(): Catalogue {
  const resourceGroup = RESOURCE_GROUP;
  const account = { resourceGroup, location: 'eastus', kind: 'StorageV2', sku: 'Standard_LRS' } as const;
  return {
    subscriptionName: 'Contoso (local)',
    resourceGroups: [resourceGroup],
    storageAccounts: [
      { name: 'contosovmreplica', ...account },
      { name: 'contosopremium', ...account, sku: 'Premium_LRS' },
      { name: 'contosofarwest', ...account, location: 'westus' },
    ],
    virtualNetworks: [
      {
        name: 'ContosoVNet',
        resourceGroup,
        location: 'eastus',
        addressPrefixes: ['10.10.0.0/16'],
        subnets: [{ name: 'default', addressPrefix: '10.10.0.0/24' }],
      },
      {
        name: 'ContosoTestVNet',
        resourceGroup,
        location: 'eastus',
        addressPrefixes: ['10.20.0.0/16'],
        subnets: [{ name: 'default', addressPrefix: '10.20.0.0/24' }],
      },
    ],
  };
}
