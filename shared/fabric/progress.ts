import { z } from 'zod';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row, Rows } from '../store/rows.ts';
import { type RowWrite, type Table } from '../store/table.ts';
import { ItemProgress } from '../wire/check-in.ts';
import { type ApplianceRef } from './appliance-item.ts';
import { SenderOrder, isLater } from './sender-order.ts';

/** Where an item's replication stood when its appliance last said so. */
export const KeptProgress = z.object({
  order: SenderOrder,
  /** By the appliance's clock. */
  sentAtMs: z.number(),
  progress: ItemProgress,
});
export type KeptProgress = z.infer<typeof KeptProgress>;

const kind = 'progress';

/**
 * Keeps the progress of some items of one appliance (at most 100), except where a later one is there already.
 * One query and one transaction, however many items there are.
 */
export async function applyProgress(
  table: Table,
  appliance: ApplianceRef,
  news: { order: SenderOrder; sentAtMs: number; items: readonly ItemProgress[] },
): Promise<void> {
  const latest = new Map(news.items.map((progress) => [progress.protectedItemId, progress]));
  const rows = new Rows(table, KeptProgress);
  const [only] = latest.values();
  if (only !== undefined && latest.size === 1) {
    await rows.update(progressKey(appliance, only.protectedItemId), (kept) => newer(news, only, kept));
    return;
  }
  const known = new Map<string, Row<KeptProgress>>();
  for (const row of await rows.all(progressRange(appliance)))
    known.set(row.value.progress.protectedItemId, row);
  const writes: RowWrite[] = [];
  for (const [protectedItemId, progress] of latest) {
    const row = known.get(protectedItemId);
    const value = newer(news, progress, row?.value);
    const key = progressKey(appliance, protectedItemId);
    if (value === undefined) continue;
    writes.push(
      row === undefined ? { do: 'insert', key, value } : { do: 'replace', key, value, etag: row.etag },
    );
  }
  await table.transact(writes);
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

function newer(
  news: { order: SenderOrder; sentAtMs: number },
  progress: ItemProgress,
  kept: KeptProgress | undefined,
): KeptProgress | undefined {
  if (kept !== undefined && !isLater(news.order, kept.order)) return undefined;
  return { order: news.order, sentAtMs: news.sentAtMs, progress };
}

function progressKey({ vault, applianceId }: ApplianceRef, protectedItemId: string): RowKey {
  return rowKey(vaultPartition(vault), kind, applianceId, protectedItemId);
}

function progressRange({ vault, applianceId }: ApplianceRef): RowRange {
  return rowsBelow(vaultPartition(vault), kind, applianceId);
}
