/**
 * Which protected items an appliance replicates: an index, because check-ins and blob grants know items by their GUID
 * while a protected item's row is found by its ARM path. Who enables an item adds it before the appliance is told;
 * who disables it takes it out at the end.
 */
import { z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';

export const ApplianceItem = z.object({
  protectedItemId: z.uuid(),
  /** Names in the protected item's ARM path. */
  fabricName: z.string(),
  containerName: z.string(),
  itemName: z.string(),
});
export type ApplianceItem = z.infer<typeof ApplianceItem>;

/** An appliance of a vault. */
export type ApplianceRef = { vault: VaultRef; applianceId: string };

const kind = 'applianceitems';

/** Adds an item, or leaves it as it is. */
export async function ensureApplianceItem(
  table: Table,
  appliance: ApplianceRef,
  item: ApplianceItem,
): Promise<void> {
  await new Rows(table, ApplianceItem).upsert(itemKey(appliance, item.protectedItemId), item);
}

export async function removeApplianceItem(
  table: Table,
  appliance: ApplianceRef,
  protectedItemId: string,
): Promise<void> {
  await new Rows(table, ApplianceItem).delete(itemKey(appliance, protectedItemId));
}

/** The item when this appliance replicates it: another's items are none of its business. */
export async function findApplianceItem(
  table: Table,
  appliance: ApplianceRef,
  protectedItemId: string,
): Promise<ApplianceItem | undefined> {
  const row = await new Rows(table, ApplianceItem).find(itemKey(appliance, protectedItemId));
  return row?.value;
}

export async function listApplianceItems(table: Table, appliance: ApplianceRef): Promise<ApplianceItem[]> {
  const range = rowsBelow(vaultPartition(appliance.vault), kind, appliance.applianceId);
  return (await new Rows(table, ApplianceItem).all(range)).map(({ value }) => value);
}

function itemKey({ vault, applianceId }: ApplianceRef, protectedItemId: string): RowKey {
  return rowKey(vaultPartition(vault), kind, applianceId, protectedItemId);
}
