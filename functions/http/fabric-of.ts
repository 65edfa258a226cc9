import { type VaultRef, sameName } from '../../shared/arm/resource-id.ts';
import { type Appliance, getFabric } from '../../shared/fabric/appliance.ts';
import { notFound } from '../../shared/store/rows.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { vaultOf } from '../edge/http-edge.ts';
import { services } from '../services.ts';

/** The vault and the appliance that a path names. @throws ResourceNotFound */
export async function fabricOf(
  params: VaultRef & { fabricName: string },
): Promise<{ vault: VaultRef; appliance: Appliance }> {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(params));
  return { vault, appliance: await getFabric(table, vault, params.fabricName) };
}

/** @throws ResourceNotFound when the fabric has no provider of that name. */
export function checkProvider(appliance: Appliance, providerName: string): void {
  if (!sameName(appliance.applianceId, providerName)) throw notFound(`The provider '${providerName}'`);
}
