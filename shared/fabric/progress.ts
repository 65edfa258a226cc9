import { z } from 'zod';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { ItemProgress } from '../wire/check-in.ts';
import { type ApplianceRef } from './appliance-item.ts';
import { LatestRows } from './latest-rows.ts';
import { SenderOrder } from './sender-order.ts';

/** Where an item's replication stood when its appliance last said so. */
export const KeptProgress = z.object({
  order: SenderOrder,
  /** By the appliance's clock. */
  sentAtMs: z.number(),
  progress: ItemProgress,
});
export type KeptProgress = z.infer<typeof KeptProgress>;

const kind = 'progress';

/** Where the progress of all items is kept, one row an item. One for the process: it remembers what it wrote. */
export function progressRows(table: Table): LatestRows<KeptProgress> {
  return new LatestRows(table, KeptProgress);
}

/** Keeps the progress of some items of one appliance, except where a later one is there already. */
export async function applyProgress(
  rows: LatestRows<KeptProgress>,
  appliance: ApplianceRef,
  news: { order: SenderOrder; sentAtMs: number; items: readonly ItemProgress[] },
): Promise<void> {
  const { order, sentAtMs } = news;
  const latest = new Map(news.items.map((progress) => [progress.protectedItemId, progress]));
  await Promise.all(
    [...latest].map(([protectedItemId, progress]) =>
      rows.keep(progressKey(appliance, protectedItemId), { order, sentAtMs, progress }),
    ),
  );
}

/** The last progress of an item; nothing before the first came. */
export async function findProgress(
  table: Table,
  appliance: ApplianceRef,
  protectedItemId: string,
): Promise<KeptProgress | undefined> {
  return (await new Rows(table, KeptProgress).find(progressKey(appliance, protectedItemId)))?.value;
}

/** The last progress of all items of an appliance, by protected item id. */
export async function listProgress(
  table: Table,
  appliance: ApplianceRef,
): Promise<Map<string, KeptProgress>> {
  const rows = await new Rows(table, KeptProgress).all(progressRange(appliance));
  return new Map(rows.map(({ value }) => [value.progress.protectedItemId, value]));
}

/** Forgets an item's progress; its replication ended. */
export async function removeProgress(
  table: Table,
  appliance: ApplianceRef,
  protectedItemId: string,
): Promise<void> {
  await new Rows(table, KeptProgress).delete(progressKey(appliance, protectedItemId));
}

function progressKey({ vault, applianceId }: ApplianceRef, protectedItemId: string): RowKey {
  return rowKey(vaultPartition(vault), kind, applianceId, protectedItemId);
}

function progressRange({ vault, applianceId }: ApplianceRef): RowRange {
  return rowsBelow(vaultPartition(vault), kind, applianceId);
}
