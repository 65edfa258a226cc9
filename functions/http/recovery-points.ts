import { type z } from 'zod';
import { namesInId, type VaultRef } from '../../shared/arm/resource-id.ts';
import { DomainError } from '../../shared/fault.ts';
import { getJob } from '../../shared/job/job-store.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { getItem } from '../../shared/protection/protected-item-store.ts';
import { type ItemNames, type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { getPoint, listPoints } from '../../shared/recovery/recovery-point-store.ts';
import { recoveryPointAnswer } from '../../shared/recovery/recovery-point.ts';
import { requireVault } from '../../shared/vault/vault.ts';
import { CreateRecoveryPointBody } from '../../shared/wire/arm-protected-item.ts';
import { httpOperation, vaultOf } from '../edge/http-edge.ts';
import { nextLinkOf, skipTokenOf } from '../edge/next-link.ts';
import { vaultRoute } from '../edge/route.ts';
import {
  type CreateRecoveryPointInput,
  createRecoveryPoint,
  pointNameKey,
} from '../orchestrations/create-recovery-point.ts';
import { handleOf } from '../activities/protected-item.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';
import { operationResults } from './operation-results.ts';
import { itemRoute } from './protected-items.ts';

const createRoute = `${vaultRoute}/secondsite/recoveryPoints` as const;

httpOperation('listRecoveryPoints', { method: 'GET', route: `${itemRoute}/recoveryPoints` }, async (call) => {
  const { table } = services();
  const vault = vaultOf(call.params);
  const item = await getItem(table, vault, call.params);
  const ref = { vault, protectedItemId: item.protectedItemId };
  const page = await listPoints(table, ref, { continuation: skipTokenOf(call.query) });
  const value = page.rows.map(({ value }) => recoveryPointAnswer(vault, item, value));
  return { status: 200, body: { value, nextLink: nextLinkOf(call.url, page.continuation) } };
});

httpOperation(
  'getRecoveryPoint',
  { method: 'GET', route: `${itemRoute}/recoveryPoints/{recoveryPointName}` },
  async (call) => {
    const vault = vaultOf(call.params);
    return { status: 200, body: await pointAnswer(vault, call.params, call.params.recoveryPointName) };
  },
);

httpOperation(
  'createRecoveryPointNow',
  { method: 'POST', route: createRoute, durable: true },
  async (call) => {
    const { table, settings } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const { properties } = await call.json(CreateRecoveryPointBody);
    const item = await getItem(table, vault, itemNamesIn(properties.protectedItemId, vault));
    if (item.state !== 'Protected') throw notYetProtected(item);
    return startJob(call, {
      vault,
      orchestration: createRecoveryPoint,
      scenario: 'CreateRecoveryPoint',
      target: { id: item.machine.protectableItemName, name: item.machine.name },
      resource: [['secondsite', 'recoveryPoints']],
      affected: { ...affectedObjects(item, item.applianceId), protectedItemId: properties.protectedItemId },
      input: {
        item: handleOf(item),
        waitMinutes: settings.APPLIANCE_WAIT_MINUTES,
      } satisfies z.infer<typeof CreateRecoveryPointInput>,
    });
  },
);

operationResults('getCreateRecoveryPointResults', createRoute, async (params) => {
  const vault = vaultOf(params);
  const { affected } = await getJob(services().table, { vault, jobId: params.jobId });
  const names = itemNamesIn(affected['protectedItemId'] ?? '', vault);
  return pointAnswer(vault, names, affected[pointNameKey] ?? '');
});

async function pointAnswer(vault: VaultRef, names: ItemNames, pointName: string) {
  const { table } = services();
  const item = await getItem(table, vault, names);
  const point = await getPoint(table, { vault, protectedItemId: item.protectedItemId }, pointName);
  return recoveryPointAnswer(vault, item, point);
}

function itemNamesIn(id: string, vault: VaultRef): ItemNames {
  const [fabricName = '', containerName = '', itemName = ''] = namesInId(id, {
    vault,
    types: ['replicationFabrics', 'replicationProtectionContainers', 'replicationProtectedItems'],
    target: 'properties.protectedItemId',
  });
  return { fabricName, containerName, itemName };
}

function notYetProtected(item: ProtectedItem): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: `'${item.itemName}' can have no recovery point yet: its protection state is ${item.state}.`,
    recommendedAction: 'Wait until the item is Protected.',
  });
}
