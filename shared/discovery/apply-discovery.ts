/** Brings the vault's machines in line with what an appliance discovered. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { containerNameOf, fabricNameOf } from '../fabric/appliance.ts';
import { type ApplianceRef } from '../fabric/appliance-item.ts';
import { SenderOrder, isLater } from '../fabric/sender-order.ts';
import { type RowKey, rowKey, vaultPartition } from '../store/row-key.ts';
import { type Row, Rows } from '../store/rows.ts';
import { type RowWrite, type Table, mostWritesAtOnce } from '../store/table.ts';
import { uuidV5 } from '../uuid.ts';
import { type DiscoveredMachine, type DiscoveryReport } from '../wire/discovery.ts';
import { KeptMachine, machineKey, machineRange } from './machine.ts';

/** The last discovery of one vCenter that was applied. */
export const KeptDiscovery = z.object({
  order: SenderOrder,
  vCenterName: z.string(),
  product: z.string(),
  version: z.string(),
  apiType: z.string(),
  fingerprint: z.string(),
  machineCount: z.number(),
  leftOut: z.array(z.object({ name: z.string(), reason: z.string() })),
  discoveredAtMs: z.number(),
});
export type KeptDiscovery = z.infer<typeof KeptDiscovery>;

/** A transaction may have 4 MiB; this leaves room for the envelope around each row. */
const mostBytesAtOnce = 2_000_000;
/** How many of the machines left out are remembered by name. */
const mostLeftOut = 100;

/**
 * Applies one report: new machines get rows, changed ones are rewritten, unchanged ones cost nothing, vanished ones
 * are forgotten, except that a protected one stays and is marked. A report older than the last applied one of its
 * vCenter changes nothing. Dying half-way is healed by applying the same report again.
 * @throws PreconditionFailed, Conflict when somebody else wrote one of the rows meanwhile: apply it again.
 */
export async function applyDiscovery(
  table: Table,
  appliance: ApplianceRef,
  news: { order: SenderOrder; vCenterName: string; report: DiscoveryReport },
): Promise<void> {
  const key = discoveryKey(appliance, news.vCenterName);
  const discoveries = new Rows(table, KeptDiscovery);
  const last = await discoveries.find(key);
  if (last !== undefined && !isLater(news.order, last.value.order)) return;
  const known = await machinesOf(table, appliance, news.vCenterName);
  const { writes, seen } = writesFor(appliance, news, known);
  for (const batch of batches(writes)) await table.transact(batch);
  const gone = [...known.values()].filter(({ value }) => !seen.has(value.itemName));
  await removeVanished(table, appliance, { gone, atMs: news.report.discoveredAtMs });
  await discoveries.update(key, (kept) =>
    kept !== undefined && !isLater(news.order, kept.order) ? undefined : keptDiscovery(news),
  );
}

/** The last discovery of a vCenter; nothing before the first. */
export async function findDiscovery(
  table: Table,
  appliance: ApplianceRef,
  vCenterName: string,
): Promise<KeptDiscovery | undefined> {
  return (await new Rows(table, KeptDiscovery).find(discoveryKey(appliance, vCenterName)))?.value;
}

/** Forgets a vCenter's machines, but for protected ones, and its discovery. */
export async function forgetDiscovery(
  table: Table,
  appliance: ApplianceRef,
  vCenterName: string,
): Promise<void> {
  const known = await machinesOf(table, appliance, vCenterName);
  await removeVanished(table, appliance, { gone: [...known.values()], atMs: Date.now() });
  await new Rows(table, KeptDiscovery).delete(discoveryKey(appliance, vCenterName));
}

function writesFor(
  appliance: ApplianceRef,
  news: { vCenterName: string; report: DiscoveryReport },
  known: Map<string, Row<KeptMachine>>,
): { writes: RowWrite[]; seen: Set<string> } {
  const writes: RowWrite[] = [];
  const seen = new Set<string>();
  const biosUuids = Map.groupBy(news.report.machines, ({ biosUuid }) => biosUuid);
  for (const machine of news.report.machines) {
    const itemName = itemNameOf(appliance.applianceId, news.vCenterName, { machine, seen });
    seen.add(itemName);
    const sharesBiosUuid = (biosUuids.get(machine.biosUuid)?.length ?? 0) > 1;
    const row = known.get(itemName);
    const value: KeptMachine = {
      itemName,
      vCenterName: news.vCenterName,
      machine,
      sharesBiosUuid,
      ...(row?.value.protectedBy !== undefined && { protectedBy: row.value.protectedBy }),
    };
    const key = keyOf(appliance, itemName);
    if (row === undefined) writes.push({ do: 'insert', key, value });
    else if (!isDeepStrictEqual(row.value, value)) writes.push({ do: 'replace', key, value, etag: row.etag });
  }
  return { writes, seen };
}

/** Each under its ETag, and a transaction can't delete so: a machine that is being protected just now must not go. */
async function removeVanished(
  table: Table,
  appliance: ApplianceRef,
  { gone, atMs }: { gone: Row<KeptMachine>[]; atMs: number },
): Promise<void> {
  const rows = new Rows(table, KeptMachine);
  for (const { value, etag } of gone) {
    const key = keyOf(appliance, value.itemName);
    if (value.protectedBy === undefined) await rows.delete(key, etag);
    else if (value.vanishedAtMs === undefined)
      await rows.replace(key, { ...value, vanishedAtMs: atMs }, etag);
  }
}

/**
 * A machine keeps its name when it moves, is renamed or is registered anew: vCenter's own uuid of it stays. Where that
 * is missing, or two machines claim the same, the inventory's reference tells them apart.
 */
function itemNameOf(
  applianceId: string,
  vCenterName: string,
  { machine, seen }: { machine: DiscoveredMachine; seen: Set<string> },
): string {
  const prefix = `machine/${vCenterName.toLowerCase()}`;
  const name = uuidV5(
    applianceId,
    `${prefix}/${machine.instanceUuid ?? `${machine.biosUuid}/${machine.moref}`}`,
  );
  return seen.has(name) ? uuidV5(applianceId, `${prefix}/${machine.biosUuid}/${machine.moref}`) : name;
}

async function machinesOf(
  table: Table,
  appliance: ApplianceRef,
  vCenterName: string,
): Promise<Map<string, Row<KeptMachine>>> {
  const rows = await new Rows(table, KeptMachine).all(machineRange(appliance.vault, appliance.applianceId));
  const own = rows.filter(({ value }) => value.vCenterName.toLowerCase() === vCenterName.toLowerCase());
  return new Map(own.map((row) => [row.value.itemName, row]));
}

function* batches(writes: readonly RowWrite[]): Generator<RowWrite[]> {
  let batch: RowWrite[] = [];
  let bytes = 0;
  for (const write of writes) {
    const size = 'value' in write ? JSON.stringify(write.value).length : 0;
    if (batch.length === mostWritesAtOnce || (batch.length > 0 && bytes + size > mostBytesAtOnce)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(write);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

function keptDiscovery(news: {
  order: SenderOrder;
  vCenterName: string;
  report: DiscoveryReport;
}): KeptDiscovery {
  const { report } = news;
  return {
    order: news.order,
    vCenterName: news.vCenterName,
    product: report.product,
    version: report.version,
    apiType: report.apiType,
    fingerprint: report.fingerprint,
    machineCount: report.machines.length,
    leftOut: report.leftOut.slice(0, mostLeftOut).map(({ name, reason }) => ({ name, reason })),
    discoveredAtMs: report.discoveredAtMs,
  };
}

function keyOf({ vault, applianceId }: ApplianceRef, protectableItemName: string): RowKey {
  return machineKey(vault, {
    fabricName: fabricNameOf(applianceId),
    containerName: containerNameOf(applianceId),
    protectableItemName,
  });
}

function discoveryKey({ vault, applianceId }: ApplianceRef, vCenterName: string): RowKey {
  return rowKey(vaultPartition(vault), 'discoveries', applianceId, vCenterName);
}
