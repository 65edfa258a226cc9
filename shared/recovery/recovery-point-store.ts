import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row, type RowPage, Rows, notFound } from '../store/rows.ts';
import { type RowWrite, type Table } from '../store/table.ts';
import { Anchor, RecoveryPoint } from './recovery-point.ts';

/** Whose points. */
export interface ItemRef {
  vault: VaultRef;
  protectedItemId: string;
}

const pointKind = 'recoverypoints';
const anchorKind = 'replicaanchors';
/** Beyond any sequence of a replica log. */
const maxSequence = 999_999_999_999;
/** A transaction takes 100 writes; one is the anchor's. */
const mostPointsAtOnce = 99;

export function findAnchor(table: Table, item: ItemRef): Promise<Row<Anchor> | undefined> {
  return new Rows(table, Anchor).find(anchorKey(item));
}

/** The anchors of all items of a vault, by protected item id. */
export async function listAnchors(table: Table, vault: VaultRef): Promise<Map<string, Anchor>> {
  const found = new Map<string, Anchor>();
  const range = rowsBelow(vaultPartition(vault), anchorKind);
  let continuation: string | undefined;
  do {
    const page = await table.page(range, { continuation });
    for (const { key, value } of new Rows(table, Anchor).decodeAll(page.entities)) {
      found.set(key.slice(range.from.length), value);
    }
    ({ continuation } = page);
  } while (continuation !== undefined);
  return found;
}

/** One page of an item's points, newest first. */
export function listPoints(
  table: Table,
  item: ItemRef,
  page?: { most?: number | undefined; continuation?: string | undefined },
): Promise<RowPage<RecoveryPoint>> {
  return new Rows(table, RecoveryPoint).page(pointRange(item), page);
}

/** @throws ResourceNotFound */
export async function getPoint(table: Table, item: ItemRef, name: string): Promise<RecoveryPoint> {
  const points = await new Rows(table, RecoveryPoint).all(pointRange(item));
  const found = points.find(({ value }) => sameName(value.name, name));
  if (found === undefined) throw notFound(`The recovery point '${name.slice(0, 100)}'`);
  return found.value;
}

/**
 * Moves the anchor and writes the points passed on the way, all or nothing.
 * @throws PreconditionFailed or Conflict when somebody else moved the anchor: read it again and go on from there.
 */
export async function moveAnchor(
  table: Table,
  item: ItemRef,
  move: { points: readonly RecoveryPoint[]; to: Anchor; etag: string | undefined },
): Promise<void> {
  if (move.points.length > mostPointsAtOnce) throw new RangeError('too many points for one transaction');
  const key = anchorKey(item);
  const writes = move.points.map((value): RowWrite => ({
    do: 'upsert',
    key: pointKey(item, value.sequence),
    value,
  }));
  const anchor: RowWrite =
    move.etag === undefined
      ? { do: 'insert', key, value: move.to }
      : { do: 'replace', key, value: move.to, etag: move.etag };
  await table.transact([...writes, anchor]);
}

/** Removes an item's points and its anchor. */
export async function removePoints(table: Table, item: ItemRef): Promise<void> {
  const rows = new Rows(table, RecoveryPoint);
  for (const { value } of await rows.all(pointRange(item))) await rows.delete(pointKey(item, value.sequence));
  await new Rows(table, Anchor).delete(anchorKey(item));
}

function anchorKey({ vault, protectedItemId }: ItemRef): RowKey {
  return rowKey(vaultPartition(vault), anchorKind, protectedItemId);
}

/** Newest first. */
function pointKey({ vault, protectedItemId }: ItemRef, sequence: number): RowKey {
  const order = String(maxSequence - sequence).padStart(12, '0');
  return rowKey(vaultPartition(vault), pointKind, protectedItemId, order);
}

function pointRange({ vault, protectedItemId }: ItemRef): RowRange {
  return rowsBelow(vaultPartition(vault), pointKind, protectedItemId);
}
