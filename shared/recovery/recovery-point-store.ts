import { isDeepStrictEqual } from 'node:util';
import { sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type ItemRef, type ItemRow, findItemRow, itemKey } from '../protection/item-row.ts';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row, type RowPage, Rows, notFound, updating } from '../store/rows.ts';
import { type RowWrite, type Table, mostWritesAtOnce } from '../store/table.ts';
import { type Anchor, type PointHold, RecoveryPoint } from './recovery-point.ts';

/** Whose points. */
export type PointsOf = Pick<ItemRef, 'vault' | 'protectedItemId'>;

const pointKind = 'recoverypoints';
/** Beyond any sequence of a replica log. */
const maxSequence = 999_999_999_999;

/** The end of an item's chain. @throws ResourceNotFound when the item is gone */
export async function findAnchor(table: Table, ref: ItemRef): Promise<Anchor | undefined> {
  return (await rowOf(table, ref)).anchor;
}

/** One page of an item's points, newest first. */
export function listPoints(
  table: Table,
  item: PointsOf,
  page?: { most?: number | undefined; continuation?: string | undefined },
): Promise<RowPage<RecoveryPoint>> {
  return new Rows(table, RecoveryPoint).page(pointRange(item), page);
}

/** @throws ResourceNotFound */
export async function getPoint(table: Table, item: PointsOf, name: string): Promise<RecoveryPoint> {
  const points = await new Rows(table, RecoveryPoint).all(pointRange(item));
  const found = points.find(({ value }) => sameName(value.name, name));
  if (found === undefined) throw notFound(`The recovery point '${name.slice(0, 100)}'`);
  return found.value;
}

/**
 * Moves the anchor and writes the points passed on the way and what belongs to them, all or nothing.
 * @throws PreconditionFailed when the anchor is no longer `from`: read it again and go on from there; ResourceNotFound
 * when the item is gone.
 */
export async function moveAnchor(
  table: Table,
  ref: ItemRef,
  move: {
    points: readonly RecoveryPoint[];
    from: Anchor | undefined;
    to: Anchor;
    /** What shall be written with it; with the points 99 at most. */
    others?: readonly RowWrite[];
  },
): Promise<void> {
  const others = move.others ?? [];
  if (move.points.length + others.length >= mostWritesAtOnce) {
    throw new RangeError('too many points for one transaction');
  }
  const points = move.points.map((value): RowWrite => ({
    do: 'upsert',
    key: pointKey(ref, value.sequence),
    value,
  }));
  const isMoved = await updating(async () => {
    const { anchor, etag } = await rowOf(table, ref);
    if (!isDeepStrictEqual(anchor, move.from)) return false;
    const key = itemKey(ref.vault, ref);
    await table.transact([...points, ...others, { do: 'merge', key, parts: { anchor: move.to }, etag }]);
    return true;
  });
  if (isMoved) return;
  throw new DomainError({
    code: 'PreconditionFailed',
    message: `The end of the replica log of '${ref.itemName}' was moved by somebody else in the meantime.`,
  });
}

/**
 * Brings a compaction into force, together with a write that fails when somebody else has taken the compaction. The
 * chain may have grown meanwhile. False when another compaction is in force than was before, or `fence` gives no write.
 * @throws ResourceNotFound when the item is gone
 */
export function moveCompaction(
  table: Table,
  ref: ItemRef,
  move: { from: Anchor['compaction']; to: Anchor['compaction']; fence: () => Promise<RowWrite | undefined> },
): Promise<boolean> {
  return updating(async () => {
    const fence = await move.fence();
    const { anchor, etag } = await rowOf(table, ref);
    if (fence === undefined || anchor?.compaction?.number !== move.from?.number) return false;
    const parts = { anchor: { ...anchor, compaction: move.to } };
    await table.transact([{ do: 'merge', key: itemKey(ref.vault, ref), parts, etag }, fence]);
    return true;
  });
}

async function rowOf(table: Table, ref: ItemRef): Promise<ItemRow> {
  const row = await findItemRow(table, ref.vault, ref);
  if (row?.item.protectedItemId === ref.protectedItemId) return row;
  throw notFound(`The replication protected item '${ref.itemName}'`);
}

/** All points of an item, newest first, with their etags. Retention bounds their number. */
export function allPoints(table: Table, item: PointsOf): Promise<Row<RecoveryPoint>[]> {
  return new Rows(table, RecoveryPoint).all(pointRange(item));
}

/** Removes a point that nobody may restore any more. False when somebody changed it since it was read. */
export async function dropPoint(
  table: Table,
  item: PointsOf,
  { value, etag }: Row<RecoveryPoint>,
): Promise<boolean> {
  try {
    await new Rows(table, RecoveryPoint).delete(pointKey(item, value.sequence), etag);
    return true;
  } catch (error) {
    if (error instanceof DomainError && error.fault.code === 'PreconditionFailed') return false;
    throw error;
  }
}

/** Changes the holds of a point. @throws ResourceNotFound when it is gone. */
export async function changeHolds(
  table: Table,
  item: PointsOf,
  sequence: number,
  change: (holds: readonly PointHold[]) => PointHold[],
): Promise<RecoveryPoint> {
  const changed = await new Rows(table, RecoveryPoint).update(pointKey(item, sequence), (point) => {
    if (point === undefined) throw notFound('The recovery point');
    return { ...point, holds: change(point.holds ?? []) };
  });
  if (changed === undefined) throw notFound('The recovery point');
  return changed;
}

/** Removes an item's points. Its anchor goes with the item's row. */
export async function removePoints(table: Table, item: PointsOf): Promise<void> {
  const rows = new Rows(table, RecoveryPoint);
  for (const { value } of await rows.all(pointRange(item))) await rows.delete(pointKey(item, value.sequence));
}

/** Newest first. */
function pointKey({ vault, protectedItemId }: PointsOf, sequence: number): RowKey {
  const order = String(maxSequence - sequence).padStart(12, '0');
  return rowKey(vaultPartition(vault), pointKind, protectedItemId, order);
}

function pointRange({ vault, protectedItemId }: PointsOf): RowRange {
  return rowsBelow(vaultPartition(vault), pointKind, protectedItemId);
}
