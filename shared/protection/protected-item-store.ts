import { z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type RowPage, Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { type ItemNames, ProtectedItem } from './protected-item.ts';

const kind = 'replicationProtectedItems';
/** Kind of the rows that keep a machine from being protected twice. */
const claimKind = 'protectionclaims';

/** Which item protects a machine. */
export const ProtectionClaim = z.object({
  protectableItemName: z.string(),
  fabricName: z.string(),
  containerName: z.string(),
  itemName: z.string(),
  protectedItemId: z.uuid(),
});
export type ProtectionClaim = z.infer<typeof ProtectionClaim>;

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

/** The item that protects a machine, when there is one. */
export async function findClaim(
  table: Table,
  vault: VaultRef,
  machine: { fabricName: string; containerName: string; protectableItemName: string },
): Promise<ProtectionClaim | undefined> {
  return (await new Rows(table, ProtectionClaim).find(claimKey(vault, machine)))?.value;
}

/** All claims of a container, by the protectable item's name in lower case: what its list of machines shows. */
export async function listClaims(
  table: Table,
  vault: VaultRef,
  container: { fabricName: string; containerName: string },
): Promise<Map<string, ProtectionClaim>> {
  const range = rowsBelow(vaultPartition(vault), claimKind, container.fabricName, container.containerName);
  const rows = await new Rows(table, ProtectionClaim).all(range);
  return new Map(rows.map(({ value }) => [value.protectableItemName.toLowerCase(), value]));
}

/**
 * Writes a new item and its claim on the machine, both or neither.
 * @throws Conflict when the name or the machine is taken.
 */
export async function insertItem(table: Table, vault: VaultRef, item: ProtectedItem): Promise<void> {
  const { protectableItemName } = item.machine;
  const { fabricName, containerName, itemName, protectedItemId } = item;
  const claim: ProtectionClaim = {
    protectableItemName,
    fabricName,
    containerName,
    itemName,
    protectedItemId,
  };
  await table.transact([
    { do: 'insert', key: itemKey(vault, item), value: item },
    { do: 'insert', key: claimKey(vault, claim), value: claim },
  ]);
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

/** Removes an item and its claim. An item of another id under the same name, and its claim, stay. */
export async function removeItem(
  table: Table,
  vault: VaultRef,
  which: ItemNames & { protectedItemId: string; protectableItemName: string },
): Promise<void> {
  const claims = new Rows(table, ProtectionClaim);
  const claim = await claims.find(claimKey(vault, which));
  if (claim?.value.protectedItemId === which.protectedItemId) {
    await claims.delete(claimKey(vault, which), claim.etag);
  }
  const items = new Rows(table, ProtectedItem);
  const item = await items.find(itemKey(vault, which));
  if (item?.value.protectedItemId === which.protectedItemId)
    await items.delete(itemKey(vault, which), item.etag);
}

export function itemNotFound(names: ItemNames): DomainError {
  return notFound(`The replication protected item '${names.itemName}'`);
}

function itemKey(vault: VaultRef, names: ItemNames): RowKey {
  return rowKey(vaultPartition(vault), kind, names.fabricName, names.containerName, names.itemName);
}

function claimKey(
  vault: VaultRef,
  machine: { fabricName: string; containerName: string; protectableItemName: string },
): RowKey {
  const { fabricName, containerName, protectableItemName } = machine;
  return rowKey(vaultPartition(vault), claimKind, fabricName, containerName, protectableItemName);
}
