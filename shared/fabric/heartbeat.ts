import { z } from 'zod';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { Heartbeat } from '../wire/check-in.ts';
import { type ApplianceRef } from './appliance-item.ts';
import { SenderOrder, isLater } from './sender-order.ts';

/** An appliance's last heartbeat. */
export const KeptHeartbeat = z.object({
  order: SenderOrder,
  /** By the appliance's clock. */
  sentAtMs: z.number(),
  /** By ours. */
  receivedAtMs: z.number(),
  heartbeat: Heartbeat,
});
export type KeptHeartbeat = z.infer<typeof KeptHeartbeat>;

/** Keeps a heartbeat unless a later one is there already. One read and at most one write. */
export async function applyHeartbeat(
  table: Table,
  appliance: ApplianceRef,
  news: KeptHeartbeat,
): Promise<void> {
  await new Rows(table, KeptHeartbeat).update(heartbeatKey(appliance), (kept) =>
    kept !== undefined && !isLater(news.order, kept.order) ? undefined : news,
  );
}

/** The last heartbeat; nothing before the first came. */
export async function findHeartbeat(
  table: Table,
  appliance: ApplianceRef,
): Promise<KeptHeartbeat | undefined> {
  return (await new Rows(table, KeptHeartbeat).find(heartbeatKey(appliance)))?.value;
}

/** Forgets an appliance's last heartbeat: the appliance was removed. */
export async function forgetHeartbeat(table: Table, appliance: ApplianceRef): Promise<void> {
  await new Rows(table, KeptHeartbeat).delete(heartbeatKey(appliance));
}

function heartbeatKey({ vault, applianceId }: ApplianceRef): RowKey {
  return rowKey(vaultPartition(vault), 'heartbeats', applianceId);
}
