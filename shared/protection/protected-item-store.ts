import { type VaultRef } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type RowPage, Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { type ItemNames, ProtectedItem } from './protected-item.ts';

const kind = 'replicationProtectedItems';
export async function findItem(
  table: Table,
  vault: VaultRef,
  names: ItemNames,
): Promise<ProtectedItem | undefined> {
  return (await new Rows(table, ProtectedItem).find(itemKey(vault, names)))?.value;
}

/** @throws ResourceNotFound */
export async function getItem(table: Table, vault: VaultRef, names: ItemNames): Promise<ProtectedItem> {
  const item = await findItem(table, vault, names);
  if (item === undefined) throw itemNotFound(names);
  return item;
}

/** One page of the items of a container, or of the whole vault. */
export function listItems(
  table: Table,
  vault: VaultRef,
  where: { container?: { fabricName: string; containerName: string }; continuation?: string | undefined },
): Promise<RowPage<ProtectedItem>> {
  const { container, continuation } = where;
  const names = container === undefined ? [] : [container.fabricName, container.containerName];
  return new Rows(table, ProtectedItem).page(rowsBelow(vaultPartition(vault), kind, ...names), {
    continuation,
  });
}

/** The first of the vault's items that fits; reads on as long as none does. */
export async function findItemWhere(
  table: Table,
  vault: VaultRef,
  fits: (item: ProtectedItem) => boolean,
): Promise<ProtectedItem | undefined> {
  let continuation: string | undefined;
  do {
    const page = await listItems(table, vault, { continuation });
    const found = page.rows.find(({ value }) => fits(value));
    if (found !== undefined) return found.value;
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
  const changed = await new Rows(table, ProtectedItem).update(itemKey(vault, which), (item) => {
    if (item?.protectedItemId !== which.protectedItemId) return undefined;
    const next = change(item);
    return next === item ? undefined : next;
  });
  return changed?.protectedItemId === which.protectedItemId ? changed : undefined;
}

/** Removes an item's row. An item of another id under the same name stays. */
export async function removeItem(
  table: Table,
  vault: VaultRef,
  which: ItemNames & { protectedItemId: string },
): Promise<void> {
  const items = new Rows(table, ProtectedItem);
  const row = await items.find(itemKey(vault, which));
  if (row?.value.protectedItemId !== which.protectedItemId) return;
  await items.delete(itemKey(vault, which), row.etag);
}

export function itemNotFound(names: ItemNames): DomainError {
  return notFound(`The replication protected item '${names.itemName}'`);
}

function itemKey(vault: VaultRef, names: ItemNames): RowKey {
  return rowKey(vaultPartition(vault), kind, names.fabricName, names.containerName, names.itemName);
}
