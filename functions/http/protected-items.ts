import { type z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { getContainer, listAppliances } from '../../shared/fabric/appliance.ts';
import { findHeartbeat } from '../../shared/fabric/heartbeat.ts';
import { findProgress, listProgress } from '../../shared/fabric/progress.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { findRunningHolder, holdItem } from '../../shared/protection/hold-item.ts';
import { protectedItemAnswer } from '../../shared/protection/protected-item-answer.ts';
import { findItem, getItem, listItems } from '../../shared/protection/protected-item-store.ts';
import { type ItemNames, type ProtectedItem, itemPath } from '../../shared/protection/protected-item.ts';
import { findAnchor } from '../../shared/recovery/recovery-point-store.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { DisableProtectionBody } from '../../shared/wire/arm-protected-item.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { containerRoute, vaultRoute } from '../edge/route.ts';
import { type DisableProtectionInput, disableProtection } from '../orchestrations/disable-protection.ts';
import { handleOf } from '../activities/protected-item.ts';
import { acceptedJob, startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { enableItem } from './enable-item.ts';
import { operationResults } from './operation-results.ts';

const itemsRoute = `${containerRoute}/replicationProtectedItems` as const;
export const itemRoute = `${itemsRoute}/{itemName}` as const;

httpOperation(
  'listVaultProtectedItems',
  { method: 'GET', route: `${vaultRoute}/replicationProtectedItems` },
  async (call) => {
    const vault = await requireVault(services().table, vaultOf(call.params));
    return { status: 200, body: await listAnswer(call, vault, undefined) };
  },
);

httpOperation('listContainerProtectedItems', { method: 'GET', route: itemsRoute }, async (call) => {
  const { table } = services();
  const vault = await requireVault(table, vaultOf(call.params));
  await getContainer(table, vault, call.params);
  return { status: 200, body: await listAnswer(call, vault, call.params) };
});

httpOperation('getProtectedItem', { method: 'GET', route: itemRoute }, async (call) => {
  return { status: 200, body: await itemAnswer(vaultOf(call.params), call.params) };
});

httpOperation('putProtectedItem', { method: 'PUT', route: itemRoute, durable: true }, async (call) => {
  const vault = await requireVault(services().table, vaultOf(call.params));
  const started = await enableItem(call, vault);
  return started ?? { status: 200, body: await itemAnswer(vault, call.params) };
});

httpOperation(
  'removeProtectedItem',
  { method: 'POST', route: `${itemRoute}/remove`, durable: true },
  async (call) => {
    await call.json(DisableProtectionBody);
    return disable(call, { names: call.params, vault: vaultOf(call.params), force: false });
  },
);

httpOperation('purgeProtectedItem', { method: 'DELETE', route: itemRoute, durable: true }, async (call) => {
  const vault = vaultOf(call.params);
  if ((await findItem(services().table, vault, call.params)) === undefined) return { status: 204 };
  return disable(call, { names: call.params, vault, force: true });
});

operationResults('getProtectedItemOperationResults', itemRoute, (params) =>
  itemAnswer(vaultOf(params), params),
);

async function disable(call: Call<string>, request: { vault: VaultRef; names: ItemNames; force: boolean }) {
  const { table, settings } = services();
  const { vault, force } = request;
  const item = await getItem(table, vault, request.names);
  const running = await findRunningHolder(table, vault, item);
  const resource = itemPath(item);
  if (running?.scenario === 'DisableDr' && (running.force === true || !force)) {
    return acceptedJob(call, {
      vault,
      resource,
      jobId: running.jobId,
      ageMs: Date.now() - running.startedAtMs,
    });
  }
  const startedAtMs = Date.now();
  const jobId = jobIdAt(startedAtMs);
  await holdItem(table, vault, item, { jobId, scenario: 'DisableDr', startedAtMs, force });
  return startJob(call, {
    vault,
    orchestration: disableProtection,
    scenario: 'DisableDr',
    jobId,
    target: { id: item.machine.protectableItemName, name: item.machine.name },
    resource,
    affected: affectedObjects(item, item.applianceId),
    input: {
      item: handleOf(item),
      force,
      waitMinutes: settings.APPLIANCE_WAIT_MINUTES,
    } satisfies z.infer<typeof DisableProtectionInput>,
  });
}

/** One item, with all that its answer is made of. @throws ResourceNotFound */
async function itemAnswer(vault: VaultRef, names: ItemNames) {
  const { table } = services();
  const item = await getItem(table, vault, names);
  const appliance = { vault, applianceId: item.applianceId };
  const { protectedItemId } = item;
  const [server, heartbeat, progress, anchor] = await Promise.all([
    getContainer(table, vault, item),
    findHeartbeat(table, appliance),
    findProgress(table, appliance, protectedItemId),
    findAnchor(table, { vault, protectedItemId }),
  ]);
  const serverName = server.machine.hostName;
  return protectedItemAnswer({
    vault,
    item,
    serverName,
    heartbeat,
    progress,
    anchor: anchor?.value,
    nowMs: Date.now(),
  });
}

/** A page of items. What an appliance says of all its items is read once for the page. */
async function listAnswer(
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
  const told = await toldByAppliances(vault, items);
  const value = await Promise.all(
    items.map(async (item) => {
      const { protectedItemId, applianceId } = item;
      const of = told.get(applianceId);
      const anchor = await findAnchor(table, { vault, protectedItemId });
      return protectedItemAnswer({
        vault,
        item,
        serverName: of?.serverName ?? applianceId,
        heartbeat: of?.heartbeat,
        progress: of?.progress.get(protectedItemId),
        anchor: anchor?.value,
        nowMs: Date.now(),
      });
    }),
  );
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
