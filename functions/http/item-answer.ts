/** Protected items as ARM answers them, from their rows and their servers'. */
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { type Appliance, getContainer, listAppliances } from '../../shared/fabric/appliance.ts';
import { type KeptHeartbeat, findHeartbeat } from '../../shared/fabric/heartbeat.ts';
import { protectedItemAnswer } from '../../shared/protection/protected-item-answer.ts';
import { findItemRow, listItemRows } from '../../shared/protection/item-row.ts';
import { itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { type ItemNames } from '../../shared/protection/protected-item.ts';
import { vaultPartition } from '../../shared/store/row-key.ts';
import { ShortCache } from '../../shared/store/short-cache.ts';
import { type Call } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { services } from '../services.ts';

/** One server's rows are part of the answers about all its items, and these may be a second behind. */
const containers = new ShortCache<Appliance>(1_000);
const heartbeats = new ShortCache<KeptHeartbeat | undefined>(1_000);

/** One item, with all that its answer is made of. @throws ResourceNotFound */
export async function itemAnswer(vault: VaultRef, names: ItemNames) {
  const { table } = services();
  const row = await findItemRow(table, vault, names);
  if (row === undefined) throw itemNotFound(names);
  const { item } = row;
  const key = `${vaultPartition(vault)}/${item.applianceId}`;
  const [server, heartbeat] = await Promise.all([
    containers.get(key, () => getContainer(table, vault, item)),
    heartbeats.get(key, () => findHeartbeat(table, { vault, applianceId: item.applianceId })),
  ]);
  const serverName = server.machine.hostName;
  return protectedItemAnswer({ ...row, vault, serverName, heartbeat, nowMs: Date.now() });
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
  const servers = await serversOf(
    vault,
    page.rows.map(({ item }) => item.applianceId),
  );
  const nowMs = Date.now();
  const value = page.rows.map((row) => {
    const { applianceId } = row.item;
    const server = servers.get(applianceId);
    const serverName = server?.serverName ?? applianceId;
    return protectedItemAnswer({ ...row, vault, serverName, heartbeat: server?.heartbeat, nowMs });
  });
  return { value, nextLink: nextLinkOf(call.url, page.continuation) };
}

async function serversOf(vault: VaultRef, applianceIds: readonly string[]) {
  const { table } = services();
  const wanted = new Set(applianceIds);
  const appliances = wanted.size === 0 ? [] : await listAppliances(table, vault);
  const servers = await Promise.all(
    appliances
      .filter(({ applianceId }) => wanted.has(applianceId))
      .map(async ({ applianceId, machine }) => {
        const key = `${vaultPartition(vault)}/${applianceId}`;
        const heartbeat = await heartbeats.get(key, () => findHeartbeat(table, { vault, applianceId }));
        return [applianceId, { serverName: machine.hostName, heartbeat }] as const;
      }),
  );
  return new Map(servers);
}
