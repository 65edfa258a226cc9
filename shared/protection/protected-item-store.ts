import { type VaultRef } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { Rows, notFound, updating } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { changeItemPart, findItemRow, itemKey, itemRef, listItemRows } from './item-row.ts';
import { type ItemNames, ProtectedItem } from './protected-item.ts';

export async function findItem(
  table: Table,
  vault: VaultRef,
  names: ItemNames,
): Promise<ProtectedItem | undefined> {
  return (await findItemRow(table, vault, names))?.item;
}

/** @throws ResourceNotFound */
export async function getItem(table: Table, vault: VaultRef, names: ItemNames): Promise<ProtectedItem> {
  const item = await findItem(table, vault, names);
  if (item === undefined) throw itemNotFound(names);
  return item;
}

/** The first of the vault's items that fits; reads on as long as none does. */
export async function findItemWhere(
  table: Table,
  vault: VaultRef,
  fits: (item: ProtectedItem) => boolean,
): Promise<ProtectedItem | undefined> {
  let continuation: string | undefined;
  do {
    const page = await listItemRows(table, vault, { continuation });
    const found = page.rows.find(({ item }) => fits(item));
    if (found !== undefined) return found.item;
    continuation = page.continuation;
  } while (continuation !== undefined);
  return undefined;
}

/**
 * Writes a new item's row.
 * @throws Conflict when the name is taken.
 */
export async function insertItem(table: Table, vault: VaultRef, item: ProtectedItem): Promise<void> {
  await new Rows(table, ProtectedItem).insert(itemKey(vault, item), item);
}

/**
 * Applies a transition under the row's ETag and answers the item as it then is; undefined when it is gone, or when
 * another item has its name by now.
 */
export async function changeItem(
  table: Table,
  vault: VaultRef,
  which: ItemNames & { protectedItemId: string },
  change: (item: ProtectedItem) => ProtectedItem,
): Promise<ProtectedItem | undefined> {
  return changeItemPart(table, itemRef(vault, which), 'item', (item) => {
    const next = change(item);
    return next === item ? undefined : next;
  });
}

/** Removes an item's row. An item of another id under the same name stays. */
export async function removeItem(
  table: Table,
  vault: VaultRef,
  which: ItemNames & { protectedItemId: string },
): Promise<void> {
  await updating(async () => {
    const row = await findItemRow(table, vault, which);
    if (row?.item.protectedItemId !== which.protectedItemId) return;
    await table.delete(itemKey(vault, which), row.etag);
  });
}

export function itemNotFound(names: ItemNames): DomainError {
  return notFound(`The replication protected item '${names.itemName}'`);
}
