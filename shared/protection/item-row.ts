/**
 * The row of a protected item: the item itself, and beside it, each in properties of its own, what changes while it is
 * replicated: the progress its appliance told of last, the end of its replica log, and what the watch remembers. A
 * look at an item is one point read, a list of them one range, whatever is asked. Each writer merges its own part under
 * the row's ETag, and begins again when another was faster (docs/adr/0006-one-row-an-item.md).
 */
import { type z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { KeptHealth } from '../event/health-watch.ts';
import { KeptProgress } from '../fabric/progress.ts';
import { Anchor } from '../recovery/recovery-point.ts';
import { textOf } from '../store/entity.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { updating } from '../store/rows.ts';
import { type Entity, type Table } from '../store/table.ts';
import { type ItemNames, ProtectedItem } from './protected-item.ts';

/** All that is kept of an item, as one read gives it. */
export interface ItemRow {
  item: ProtectedItem;
  /** None before its appliance first told of it. */
  progress: KeptProgress | undefined;
  /** None before its first recovery point. */
  anchor: Anchor | undefined;
  /** None before the watch first looked. */
  health: KeptHealth | undefined;
  etag: string;
}

/** Which item: its ARM path, and the GUID that tells it from a later one of the same name. */
export interface ItemRef extends ItemNames {
  vault: VaultRef;
  protectedItemId: string;
}

const kind = 'replicationProtectedItems';
const itemPart = 'v';

export function itemKey(vault: VaultRef, names: ItemNames): RowKey {
  return rowKey(vaultPartition(vault), kind, names.fabricName, names.containerName, names.itemName);
}

/** What a reference to an item needs of it. */
export function itemRef(vault: VaultRef, item: ItemNames & { protectedItemId: string }): ItemRef {
  const { fabricName, containerName, itemName, protectedItemId } = item;
  return { vault, fabricName, containerName, itemName, protectedItemId };
}

export async function findItemRow(
  table: Table,
  vault: VaultRef,
  names: ItemNames,
): Promise<ItemRow | undefined> {
  const entity = await table.find(itemKey(vault, names));
  return entity && decodeItemRow(entity);
}

/** One page of the items of a container, or of the whole vault. */
export async function listItemRows(
  table: Table,
  vault: VaultRef,
  where: { container?: { fabricName: string; containerName: string }; continuation?: string | undefined },
): Promise<{ rows: ItemRow[]; continuation?: string }> {
  const { container, continuation } = where;
  const names = container === undefined ? [] : [container.fabricName, container.containerName];
  const range = rowsBelow(vaultPartition(vault), kind, ...names);
  const { entities, ...rest } = await table.page(range, { continuation });
  return { rows: entities.map((entity) => decodeItemRow(entity)), ...rest };
}

/** @throws when the row holds something else than it should; that is a bug. */
export function decodeItemRow(entity: Entity): ItemRow {
  const item = partOf(entity, itemPart, ProtectedItem);
  if (item === undefined) throw new Error(`The row ${entity.rowKey} holds no protected item.`);
  return {
    item,
    progress: partOf(entity, 'progress', KeptProgress),
    anchor: partOf(entity, 'anchor', Anchor),
    health: partOf(entity, 'health', KeptHealth),
    etag: entity.etag,
  };
}

/** One part of a row; undefined where it has none. One whose text is that of the last look is not parsed and checked again. */
function partOf<T>(entity: Entity, part: string, schema: z.ZodType<T>): T | undefined {
  const text = textOf(entity, part);
  if (text === '') return undefined;
  const key = `${String(entity['partitionKey'])}/${entity.rowKey}/${part}`;
  const seen = seenParts.get(key);
  if (seen?.text === text) return seen.value as T; // parsed by the schema that goes with the part's name
  const value = deepFrozen(schema.parse(JSON.parse(text)));
  if (seenParts.size >= mostSeen) seenParts.clear();
  seenParts.set(key, { text, value });
  return value;
}

const seenParts = new Map<string, { text: string; value: unknown }>();
/** A KiB or so each: the parts of five thousand items. */
const mostSeen = 20_000;

/** Nobody shall change what others are given too. */
function deepFrozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFrozen(part);
  }
  return value;
}

type Parts = Pick<ItemRow, 'item' | 'anchor' | 'health'>;

/**
 * Reads an item's row, decides, and merges one part; begins again when somebody else wrote in between, so `change` may
 * be called several times. Undefined from it leaves the part as it is. Answers the part as it then is; undefined when
 * the item is gone, or when another item has its name by now.
 */
export async function changeItemPart<P extends keyof Parts>(
  table: Table,
  ref: ItemRef,
  part: P,
  change: (kept: Parts[P]) => Parts[P] | undefined,
): Promise<Parts[P] | undefined> {
  return updating(async () => {
    const row = await findItemRow(table, ref.vault, ref);
    if (row?.item.protectedItemId !== ref.protectedItemId) return undefined;
    const next = change(row[part]);
    if (next === undefined) return row[part];
    const parts = { [part === 'item' ? itemPart : part]: next };
    await table.write({ do: 'merge', key: itemKey(ref.vault, ref), parts, etag: row.etag });
    return next;
  });
}
