import { type VaultRef, sameName } from '../../shared/arm/resource-id.ts';
import { findItemWhere, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { services } from '../services.ts';

/** The vault's item of this name or GUID; of several containers' items of one name the first. @throws ResourceNotFound */
export async function getNamedItem(vault: VaultRef, name: string): Promise<ProtectedItem> {
  const found = await findItemWhere(services().table, vault, ({ itemName, protectedItemId }) =>
    [itemName, protectedItemId].some((one) => sameName(one, name)),
  );
  if (found !== undefined) return found;
  throw itemNotFound({ fabricName: '', containerName: '', itemName: name });
}
