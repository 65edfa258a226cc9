import { type z } from 'zod';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { getContainer } from '../../shared/fabric/appliance.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { findRunningHolder, holdItem } from '../../shared/protection/hold-item.ts';
import { findItem, getItem } from '../../shared/protection/protected-item-store.ts';
import { type ItemNames, itemPath } from '../../shared/protection/protected-item.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { DisableProtectionBody } from '../../shared/wire/arm-protected-item.ts';
import { type Call, httpOperation, vaultOf } from '../edge/http-edge.ts';
import { containerRoute, vaultRoute } from '../edge/route.ts';
import { type DisableProtectionInput, disableProtection } from '../orchestrations/disable-protection.ts';
import { handleOf } from '../activities/protected-item.ts';
import { acceptedJob, startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { enableItem } from './enable-item.ts';
import { itemAnswer, listAnswer } from './item-answer.ts';
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
