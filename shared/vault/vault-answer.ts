import { vaultIdOf } from '../arm/resource-id.ts';
import { type Row } from '../store/rows.ts';
import { type Vault } from './vault.ts';

/** A vault as ARM answers it. */
export function vaultAnswer({ value: vault, etag }: Row<Vault>) {
  return {
    id: vaultIdOf(vault),
    name: vault.vaultName,
    type: 'Microsoft.RecoveryServices/vaults',
    location: vault.location,
    etag,
    tags: vault.tags,
    sku: vault.sku,
    properties: {
      provisioningState: 'Succeeded',
      privateEndpointStateForBackup: 'None',
      privateEndpointStateForSiteRecovery: 'None',
      publicNetworkAccess: vault.publicNetworkAccess,
    },
  };
}
