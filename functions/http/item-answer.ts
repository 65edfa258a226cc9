/** Protected items as ARM answers them, from all the rows that belong to them. */
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { type Appliance, getContainer, listAppliances } from '../../shared/fabric/appliance.ts';
import { type KeptHeartbeat, findHeartbeat } from '../../shared/fabric/heartbeat.ts';
import { findProgress, listProgress } from '../../shared/fabric/progress.ts';
import { protectedItemAnswer } from '../../shared/protection/protected-item-answer.ts';
import { getItem, listItems } from '../../shared/protection/protected-item-store.ts';
import { type ItemNames, type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { findHealth, listHealth } from '../../shared/event/health-watch.ts';
import { findAnchor, listAnchors } from '../../shared/recovery/recovery-point-store.ts';
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
  const item = await getItem(table, vault, names);
  const appliance = { vault, applianceId: item.applianceId };
  const { protectedItemId } = item;
  const key = `${vaultPartition(vault)}/${item.applianceId}`;
  const [server, heartbeat, progress, anchor, health] = await Promise.all([
    containers.get(key, () => getContainer(table, vault, item)),
    heartbeats.get(key, () => findHeartbeat(table, appliance)),
    findProgress(table, appliance, protectedItemId),
    findAnchor(table, { vault, protectedItemId }),
    findHealth(table, { vault, kind: 'itemhealth', id: protectedItemId }),
  ]);
  const serverName = server.machine.hostName;
  return protectedItemAnswer({
    vault,
    item,
    serverName,
    heartbeat,
    progress,
    anchor: anchor?.value,
    health,
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
  const page = await listItems(table, vault, {
    ...(container !== undefined && { container }),
    continuation: skipTokenOf(call.query),
  });
  const items = page.rows.map(({ value }) => value);
  const [told, anchors, health] = await Promise.all([
    toldByAppliances(vault, items),
    listAnchors(table, vault),
    listHealth(table, vault, 'itemhealth'),
  ]);
  const nowMs = Date.now();
  const value = items.map((item) => {
    const { protectedItemId, applianceId } = item;
    const of = told.get(applianceId);
    return protectedItemAnswer({
      vault,
      item,
      serverName: of?.serverName ?? applianceId,
      heartbeat: of?.heartbeat,
      progress: of?.progress.get(protectedItemId),
      anchor: anchors.get(protectedItemId),
      health: health.get(protectedItemId),
      nowMs,
    });
  });
  return { value, nextLink: nextLinkOf(call.url, page.continuation) };
}

async function toldByAppliances(vault: VaultRef, items: readonly ProtectedItem[]) {
  const { table } = services();
  const wanted = new Set(items.map(({ applianceId }) => applianceId));
  const appliances = wanted.size === 0 ? [] : await listAppliances(table, vault);
  const told = await Promise.all(
    appliances
      .filter(({ applianceId }) => wanted.has(applianceId))
      .map(async ({ applianceId, machine }) => {
        const ref = { vault, applianceId };
        const [heartbeat, progress] = await Promise.all([
          findHeartbeat(table, ref),
          listProgress(table, ref),
        ]);
        return [applianceId, { serverName: machine.hostName, heartbeat, progress }] as const;
      }),
  );
  return new Map(told);
}
