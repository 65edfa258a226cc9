/** The heartbeat watch: remembers since when something is not well with an appliance. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { type Appliance } from './appliance.ts';
import { conditionsOf, isSilent } from './appliance-health.ts';
import { type ApplianceRef } from './appliance-item.ts';
import { findHeartbeat } from './heartbeat.ts';

/** What the watch knows of an appliance. */
export const KeptWatch = z.object({
  /** False: it has been silent for 15 minutes. */
  connected: z.boolean(),
  /** When `connected` last changed. */
  changedAtMs: z.number(),
  /** By code of the condition: since when it holds without a break. */
  sinceMs: z.record(z.string(), z.number()),
});
export type KeptWatch = z.infer<typeof KeptWatch>;

/**
 * Looks at an appliance and writes down what has changed since the last look. A missed look costs nothing: the next
 * one finds the same. Answers what is known now.
 */
export async function watchAppliance(
  table: Table,
  ref: ApplianceRef,
  seen: { appliance: Appliance; nowMs: number },
): Promise<KeptWatch> {
  const facts = { ...seen, heartbeat: await findHeartbeat(table, ref) };
  const connected = !isSilent(facts);
  const codes = conditionsOf(facts).map(({ code }) => code);
  const rows = new Rows(table, KeptWatch);
  const look = (kept: KeptWatch | undefined): KeptWatch => ({
    connected,
    changedAtMs: kept?.connected === connected ? kept.changedAtMs : seen.nowMs,
    sinceMs: Object.fromEntries(codes.map((code) => [code, kept?.sinceMs[code] ?? seen.nowMs])),
  });
  const kept = await rows.update(watchKey(ref), (kept) => {
    const next = look(kept);
    return isDeepStrictEqual(kept, next) ? undefined : next;
  });
  return kept ?? look(undefined);
}

/** What the watch knows; nothing before its first look. */
export async function findWatch(table: Table, ref: ApplianceRef): Promise<KeptWatch | undefined> {
  return (await new Rows(table, KeptWatch).find(watchKey(ref)))?.value;
}

function watchKey({ vault, applianceId }: ApplianceRef): RowKey {
  return rowKey(vaultPartition(vault), 'appliancewatch', applianceId, 'state');
}
