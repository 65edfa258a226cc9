import { type z } from 'zod';
import { namesInId, sameName, type VaultRef } from '../../shared/arm/resource-id.ts';
import { replicaContainerName } from '../../shared/fabric/appliance-token.ts';
import { DomainError } from '../../shared/fault.ts';
import { isoTime } from '../../shared/iso-time.ts';
import { getJob } from '../../shared/job/job-store.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import { findItemWhere, getItem, itemNotFound } from '../../shared/protection/protected-item-store.ts';
import { itemRef } from '../../shared/protection/item-row.ts';
import { type ItemNames, type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { findAnchor, getPoint, listPoints } from '../../shared/recovery/recovery-point-store.ts';
import { type RecoveryPoint, recoveryPointAnswer } from '../../shared/recovery/recovery-point.ts';
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

/** What a verifier or restorer has to know of an item's replica log. `name` is the item's name or its GUID. */
httpOperation(
  'getReplicaLog',
  { method: 'GET', route: `${vaultRoute}/secondsite/protectedItems/{name}/replicaLog` },
  async (call) => {
    const { table } = services();
    const vault = await requireVault(table, vaultOf(call.params));
    const item = await findNamed(vault, call.params.name);
    const { protectedItemId } = item;
    const ref = itemRef(vault, item);
    const [anchor, page] = await Promise.all([
      findAnchor(table, ref),
      listPoints(table, ref, { continuation: skipTokenOf(call.query) }),
    ]);
    return {
      status: 200,
      body: {
        protectedItemId,
        containerName: replicaContainerName(protectedItemId),
        anchor: anchor === undefined ? null : { sequence: anchor.sequence, hash: anchor.hash },
        points: page.rows.map(({ value }) => logPoint(value)),
        nextLink: nextLinkOf(call.url, page.continuation),
      },
    };
  },
);

function logPoint(point: RecoveryPoint) {
  const { name, sequence, timeMs, consistency, hash, changedBytes, uploadedBytes } = point;
  return {
    name,
    sequence,
    time: isoTime(timeMs),
    consistency,
    hash,
    changedBytes,
    uploadedBytes,
  };
}

async function pointAnswer(vault: VaultRef, names: ItemNames, pointName: string) {
  const { table } = services();
  const item = await getItem(table, vault, names);
  const point = await getPoint(table, { vault, protectedItemId: item.protectedItemId }, pointName);
  return recoveryPointAnswer(vault, item, point);
}

/** The vault's item of this name or GUID; a name that several containers have is told by its GUID only. */
async function findNamed(vault: VaultRef, name: string): Promise<ProtectedItem> {
  const found = await findItemWhere(services().table, vault, ({ itemName, protectedItemId }) =>
    [itemName, protectedItemId].some((one) => sameName(one, name)),
  );
  if (found !== undefined) return found;
  throw itemNotFound({ fabricName: '', containerName: '', itemName: name });
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
