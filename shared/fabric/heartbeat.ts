import { z } from 'zod';
import { decodeValue } from '../store/entity.ts';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { Heartbeat } from '../wire/check-in.ts';
import { type ApplianceRef } from './appliance-item.ts';
import { LatestRows } from './latest-rows.ts';
import { SenderOrder } from './sender-order.ts';

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

/** Where heartbeats are kept, one row an appliance. One for the process: it remembers what it wrote. */
export function heartbeatRows(table: Table): LatestRows<KeptHeartbeat> {
  return new LatestRows(table, {
    idOf: () => '',
    read: (entity) => KeptHeartbeat.parse(decodeValue(entity)),
    write: (key, value, etag) =>
      etag === undefined ? { do: 'insert', key, value } : { do: 'replace', key, value, etag },
  });
}

/** Keeps a heartbeat unless a later one is there already. */
export function applyHeartbeat(
  rows: LatestRows<KeptHeartbeat>,
  appliance: ApplianceRef,
  news: KeptHeartbeat,
): Promise<void> {
  return rows.keep(heartbeatKey(appliance), news);
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
