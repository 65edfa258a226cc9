import { type VaultRef, childIdOf } from '../arm/resource-id.ts';
import { releaseMachine } from '../discovery/machine.ts';
import { removeApplianceItem } from '../fabric/appliance-item.ts';
import { removeCompaction } from '../recovery/compaction-store.ts';
import { removeHours } from '../recovery/history.ts';
import { removePoints } from '../recovery/recovery-point-store.ts';
import { type Table } from '../store/table.ts';
import { removeItem } from './protected-item-store.ts';
import { type ItemNames, itemPath } from './protected-item.ts';
import { type ReplicaVault, deleteReplicaContainer } from './replica-container.ts';

/** Everything by which an item's rows and blobs are found. */
export interface ItemHandle extends ItemNames {
  protectedItemId: string;
  protectableItemName: string;
  applianceId: string;
}

/**
 * Deletes an item's data, then every trace of it. The appliance's grant goes first, so that it stops sending; the
 * item's own row goes last, so that an interrupted forgetting can be repeated.
 */
export async function forgetItem(
  services: ReplicaVault & { table: Table },
  vault: VaultRef,
  item: ItemHandle,
): Promise<void> {
  const { table } = services;
  const appliance = { vault, applianceId: item.applianceId };
  await removeApplianceItem(table, appliance, item.protectedItemId);
  await deleteReplicaContainer(services, item.protectedItemId);
  await removePoints(table, { vault, protectedItemId: item.protectedItemId });
  await removeCompaction(table, { vault, protectedItemId: item.protectedItemId });
  await removeHours(table, { vault, protectedItemId: item.protectedItemId });
  await releaseMachine(table, vault, { ...item, protectedItemArmId: childIdOf(vault, itemPath(item)) });
  await removeItem(table, vault, item);
}
