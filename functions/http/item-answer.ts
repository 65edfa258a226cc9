/** Protected items as ARM answers them, from their rows and their servers'. */
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { type Appliance, findAppliance } from '../../shared/fabric/appliance.ts';
import { type KeptHeartbeat, findHeartbeat } from '../../shared/fabric/heartbeat.ts';
import { protectedItemAnswer } from '../../shared/protection/protected-item-answer.ts';
import { type ItemRow, findItemRow, listItemRows } from '../../shared/protection/item-row.ts';
import { itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { type ItemNames } from '../../shared/protection/protected-item.ts';
import { vaultPartition } from '../../shared/store/row-key.ts';
import { ShortCache } from '../../shared/store/short-cache.ts';
import { type Call } from '../edge/http-edge.ts';
import { jsonPage } from '../edge/json-text.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { services } from '../services.ts';

/** One server's rows are part of the answers about all its items, and these may be a second behind. */
const appliances = new ShortCache<Appliance | undefined>(1_000);
const heartbeats = new ShortCache<KeptHeartbeat | undefined>(1_000);

/** One item, with all that its answer is made of. @throws ResourceNotFound */
export async function itemAnswer(vault: VaultRef, names: ItemNames) {
  const { table } = services();
  const row = await findItemRow(table, vault, names);
  if (row === undefined) throw itemNotFound(names);
  return protectedItemAnswer({
    ...row,
    ...(await serverOf(vault, row.item.applianceId)),
    vault,
    nowMs: Date.now(),
  });
}

/** A page of items. What an appliance says of all its items is read once for the page. */
export async function listAnswer(
  call: Call<string>,
  vault: VaultRef,
  container: { fabricName: string; containerName: string } | undefined,
) {
  const { table } = services();
  const page = await listItemRows(table, vault, {
    ...(container !== undefined && { container }),
    continuation: skipTokenOf(call.query),
  });
  const servers = await serversOf(vault, page.rows);
  return jsonPage(answers(vault, page.rows, servers), nextLinkOf(call.url, page.continuation));
}

function* answers(vault: VaultRef, rows: readonly ItemRow[], servers: Awaited<ReturnType<typeof serversOf>>) {
  const nowMs = Date.now();
  for (const row of rows) {
    const { applianceId } = row.item;
    const server = servers.get(applianceId) ?? { serverName: applianceId, heartbeat: undefined };
    yield protectedItemAnswer({ ...row, ...server, vault, nowMs });
  }
}

/** What the answers about their items show of servers, by the GUID of the appliance. */
async function serversOf(vault: VaultRef, rows: readonly ItemRow[]) {
  const applianceIds = [...new Set(rows.map(({ item }) => item.applianceId))];
  const servers = await Promise.all(applianceIds.map((applianceId) => serverOf(vault, applianceId)));
  return new Map(servers.map((server, at) => [applianceIds[at], server]));
}

/** A server's name and last heartbeat; one that is gone is named by its GUID. */
async function serverOf(vault: VaultRef, applianceId: string) {
  const { table } = services();
  const key = `${vaultPartition(vault)}/${applianceId}`;
  const [server, heartbeat] = await Promise.all([
    appliances.get(key, () => findAppliance(table, vault, applianceId)),
    heartbeats.get(key, () => findHeartbeat(table, { vault, applianceId })),
  ]);
  return { serverName: server?.machine.hostName ?? applianceId, heartbeat };
}
