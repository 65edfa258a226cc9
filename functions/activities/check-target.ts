import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { refuseTarget } from '../../shared/protection/refuse-target.ts';
import { VaultStore } from '../../shared/vault/vault.ts';
import { services } from '../services.ts';

/** Looks at the storage account and network that an item names, as they are now. @throws InvalidRequest */
export async function checkTarget(ref: VaultRef, { target }: ProtectedItem): Promise<void> {
  const storageAccountId = target.storageAccountId ?? target.logStorageAccountId;
  const virtualNetworkId = target.networkId;
  if (storageAccountId === undefined && virtualNetworkId === undefined) return;
  const { table, targetAccess } = services();
  const { value: vault } = await new VaultStore(table).get(ref);
  // Imported when it is first needed: the ARM clients are large.
  const { checkTargetEnvironment } = await import('../../shared/target/target-environment.ts');
  const question = {
    storageAccountId,
    virtualNetworkId,
    subnetName: target.subnetName,
    region: vault.location,
  };
  const { checks } = await checkTargetEnvironment(await targetAccess(), question);
  refuseTarget(checks);
}
