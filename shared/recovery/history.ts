/**
 * What points bring, hour by hour: how much each disk changed, and how old the newest point had become. A row is an
 * hour of an item; it is written together with the anchor that passed the points, so each point counts once.
 */
import { z } from 'zod';
import { type VaultRef } from '../arm/resource-id.ts';
import { type ProvenPoint } from '../replica/chain.ts';
import { deleteRows } from '../store/delete-rows.ts';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type RowPage, Rows } from '../store/rows.ts';
import { type RowWrite, type Table } from '../store/table.ts';
import { type PointsOf } from './recovery-point-store.ts';
import { type Anchor } from './recovery-point.ts';

const hourMs = 3_600_000;
const maxMs = 2 ** 48 - 1;
const kind = 'pointhistory';

/** As long as audit rows and events: 2,160 rows an item at most. */
export const historyKeptMs = 90 * 24 * hourMs;

const DiskChurn = z.object({
  diskId: z.string(),
  /** Written between the hour's points and the ones before them. */
  changedBytes: z.number(),
  /** The most that one point brought, by the time since the point before. */
  peakBytesPerSecond: z.number(),
});
export type DiskChurn = z.infer<typeof DiskChurn>;

/** One hour of an item. Points count in the hour of their moment, RPO in the hour in which they were recorded. */
export const ItemHour = z.object({
  protectedItemId: z.uuid(),
  /** When the hour begins. */
  hourMs: z.number(),
  /** Recovery points of the hour. */
  points: z.number(),
  /** Bytes that were uploaded for them: compressed, encrypted. */
  uploadedBytes: z.number(),
  /** After the initial replication. */
  disks: z.array(DiskChurn),
  /** How old the newest point had become when a new one was recorded, and how old that one was. */
  rpo: z.object({ maxSeconds: z.number(), minSeconds: z.number() }).optional(),
});
export type ItemHour = z.infer<typeof ItemHour>;

/**
 * What some points that are passed add to the history: for each hour that they touch, what comes on top. The initial
 * replication is no churn: it counts from the first recovery point on.
 */
export function newsOf(
  before: Anchor | undefined,
  records: readonly ProvenPoint[],
  { protectedItemId, nowMs }: { protectedItemId: string; nowMs: number },
): ItemHour[] {
  const news: ItemHour[] = [];
  let newestMs = before?.newest?.timeMs;
  for (const { manifest, changedByDisk } of records) {
    const timeMs = Date.parse(manifest.time);
    const isOffered = manifest.consistency !== 'NotConsistent';
    const sinceMs = newestMs;
    const seconds = sinceMs === undefined ? 0 : (timeMs - sinceMs) / 1_000;
    const churned = sinceMs === undefined ? [] : manifest.disks;
    news.push({
      protectedItemId,
      hourMs: hourOf(timeMs),
      points: isOffered ? 1 : 0,
      uploadedBytes: manifest.segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      disks: churned.map(({ id, number }) => {
        const changedBytes = changedByDisk.get(number) ?? 0;
        return {
          diskId: id,
          changedBytes,
          peakBytesPerSecond: seconds > 0 ? Math.round(changedBytes / seconds) : 0,
        };
      }),
    });
    if (isOffered) newestMs = timeMs;
  }
  const recorded = rpoOf(before?.newest?.timeMs, newestMs, nowMs);
  if (recorded !== undefined) {
    news.push({
      protectedItemId,
      hourMs: hourOf(nowMs),
      points: 0,
      uploadedBytes: 0,
      disks: [],
      rpo: recorded,
    });
  }
  return merged(news);
}

/** The rows' writes, for the transaction that moves the anchor from where it was when `news` was made. */
export async function historyWrites(
  table: Table,
  item: PointsOf,
  news: readonly ItemHour[],
): Promise<RowWrite[]> {
  const rows = new Rows(table, ItemHour);
  return Promise.all(
    news.map(async (hour): Promise<RowWrite> => {
      const key = hourKey(item, hour.hourMs);
      const known = await rows.find(key);
      const value = known === undefined ? hour : added(known.value, hour);
      return { do: 'upsert', key, value };
    }),
  );
}

/** One page of the hours of an item, newest first; of all items of the vault, item by item, where none is given. */
export function listHours(
  table: Table,
  of: { vault: VaultRef; protectedItemId: string | undefined },
  page: { most: number; continuation: string | undefined },
): Promise<RowPage<ItemHour>> {
  const names = of.protectedItemId === undefined ? [] : [of.protectedItemId];
  return new Rows(table, ItemHour).page(rowsBelow(vaultPartition(of.vault), kind, ...names), page);
}

/** Deletes hours of an item that are older. */
export async function forgetHours(table: Table, item: PointsOf, beforeMs: number): Promise<void> {
  const range = hourRange(item);
  await deleteRows(table, { ...range, from: `${range.from}${orderAt(hourOf(beforeMs) - 1)}` });
}

/** Forgets all hours of an item. */
export async function removeHours(table: Table, item: PointsOf): Promise<void> {
  await deleteRows(table, hourRange(item));
}

export function churnAnswer({ protectedItemId, hourMs, points, uploadedBytes, disks }: ItemHour) {
  return {
    protectedItemId,
    hour: new Date(hourMs).toISOString(),
    points,
    uploadedBytes,
    disks: disks.map((disk) => ({
      ...disk,
      averageBytesPerSecond: Math.round(disk.changedBytes / 3_600),
    })),
  };
}

export function rpoAnswer({ protectedItemId, hourMs, points, rpo }: ItemHour) {
  return {
    protectedItemId,
    hour: new Date(hourMs).toISOString(),
    points,
    maxRpoSeconds: rpo?.maxSeconds ?? null,
    minRpoSeconds: rpo?.minSeconds ?? null,
  };
}

function rpoOf(
  beforeMs: number | undefined,
  newestMs: number | undefined,
  nowMs: number,
): ItemHour['rpo'] | undefined {
  if (newestMs === undefined || newestMs === beforeMs) return undefined;
  const age = (timeMs: number): number => Math.max(0, Math.round((nowMs - timeMs) / 1_000));
  return { maxSeconds: age(beforeMs ?? newestMs), minSeconds: age(newestMs) };
}

function merged(news: readonly ItemHour[]): ItemHour[] {
  const hours = new Map<number, ItemHour>();
  for (const one of news) {
    const known = hours.get(one.hourMs);
    hours.set(one.hourMs, known === undefined ? one : added(known, one));
  }
  return [...hours.values()];
}

/** An hour and what comes on top of it. */
function added(hour: ItemHour, more: ItemHour): ItemHour {
  const disks = new Map(hour.disks.map((disk) => [disk.diskId, disk]));
  for (const { diskId, changedBytes, peakBytesPerSecond } of more.disks) {
    const known = disks.get(diskId) ?? { diskId, changedBytes: 0, peakBytesPerSecond: 0 };
    disks.set(diskId, {
      diskId,
      changedBytes: known.changedBytes + changedBytes,
      peakBytesPerSecond: Math.max(known.peakBytesPerSecond, peakBytesPerSecond),
    });
  }
  const rpos = [hour.rpo, more.rpo].filter((rpo) => rpo !== undefined);
  return {
    ...hour,
    points: hour.points + more.points,
    uploadedBytes: hour.uploadedBytes + more.uploadedBytes,
    disks: [...disks.values()],
    ...(rpos.length > 0 && {
      rpo: {
        maxSeconds: Math.max(...rpos.map(({ maxSeconds }) => maxSeconds)),
        minSeconds: Math.min(...rpos.map(({ minSeconds }) => minSeconds)),
      },
    }),
  };
}

function hourOf(ms: number): number {
  return Math.floor(ms / hourMs) * hourMs;
}

function hourKey({ vault, protectedItemId }: PointsOf, hour: number): RowKey {
  return rowKey(vaultPartition(vault), kind, protectedItemId, orderAt(hour));
}

function hourRange({ vault, protectedItemId }: PointsOf): RowRange {
  return rowsBelow(vaultPartition(vault), kind, protectedItemId);
}

/** Newest first. */
function orderAt(ms: number): string {
  return (maxMs - ms).toString(16).padStart(12, '0');
}
