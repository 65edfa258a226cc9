import { randomUUID } from 'node:crypto';
import { type z } from 'zod';
import { type VaultRef, childIdOf, namesInId, sameName } from '../../shared/arm/resource-id.ts';
import { checkResourceName } from '../../shared/arm/resource-name.ts';
import { claimMachine } from '../../shared/discovery/machine.ts';
import { getMachineNow } from '../../shared/discovery/physical-machine.ts';
import { containerNameOf, fabricNameOf, getContainer } from '../../shared/fabric/appliance.ts';
import { DomainError } from '../../shared/fault.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { affectedObjects } from '../../shared/protection/affected-objects.ts';
import {
  type EnableRequest,
  hashRequest,
  planEnable,
  refuseOther,
} from '../../shared/protection/plan-enable.ts';
import { machineNames, requireMappedPolicy } from '../../shared/protection/prepare-enable.ts';
import { findItem, insertItem, removeItem } from '../../shared/protection/protected-item-store.ts';
import { type ItemNames, type ProtectedItem, itemPath } from '../../shared/protection/protected-item.ts';
import { EnableProtectionBody } from '../../shared/wire/arm-protected-item.ts';
import { type Call } from '../edge/http-edge.ts';
import { type EnableProtectionInput, enableProtection } from '../orchestrations/enable-protection.ts';
import { handleOf } from '../activities/protected-item.ts';
import { startJob } from '../edge/start-job.ts';
import { services } from '../services.ts';

/**
 * Enables protection. Everything that can be told at once is refused before anything is written. The item's row comes
 * first, then the claim on its machine, then the job: repeating a request that was cut off goes on where it stopped.
 * @returns the 202; undefined when the item is there already, just as asked for.
 */
export async function enableItem(call: Call<string> & { params: ItemNames }, vault: VaultRef) {
  const { table } = services();
  const request = await readRequest(call, vault);
  const existing = await findItem(table, vault, request.names);
  if (existing !== undefined) return repeat(call, vault, { existing, requestHash: hashRequest(request) });
  await requireMappedPolicy(table, vault, { ...request.names, policyName: request.policyName });
  const atMs = Date.now();
  const item = planEnable(request, { protectedItemId: randomUUID(), jobId: jobIdAt(atMs), atMs });
  try {
    await insertItem(table, vault, item);
  } catch (error) {
    // Somebody sent the same request at the same time.
    const other = hasCode(error, 'Conflict') ? await findItem(table, vault, request.names) : undefined;
    if (other === undefined) throw error;
    return repeat(call, vault, { existing: other, requestHash: item.requestHash });
  }
  return startEnable(call, vault, item);
}

async function repeat(
  call: Call<string>,
  vault: VaultRef,
  found: { existing: ProtectedItem; requestHash: string },
) {
  refuseOther(found.existing, found.requestHash);
  const isUnderWay = found.existing.currentJob?.jobId === found.existing.enableJobId;
  return isUnderWay ? startEnable(call, vault, found.existing) : undefined;
}

async function startEnable(call: Call<string>, vault: VaultRef, item: ProtectedItem) {
  const { table, settings } = services();
  try {
    const protectedItemArmId = childIdOf(vault, itemPath(item));
    await claimMachine(table, vault, { ...machineNames(item), protectedItemArmId });
  } catch (error) {
    // Another item has the machine, or the machine is gone, perhaps with its server.
    if (hasCode(error, 'Conflict', 'ResourceNotFound')) await removeItem(table, vault, item);
    throw error;
  }
  return startJob(call, {
    vault,
    orchestration: enableProtection,
    scenario: 'EnableDr',
    jobId: item.enableJobId,
    target: { id: item.machine.protectableItemName, name: item.machine.name },
    resource: itemPath(item),
    affected: affectedObjects(item, item.applianceId),
    input: {
      item: handleOf(item),
      machineName: item.machine.name,
      waitMinutes: settings.APPLIANCE_WAIT_MINUTES,
    } satisfies z.infer<typeof EnableProtectionInput>,
  });
}

/** @throws ResourceNotFound for a container, policy or machine that is not there, InvalidRequest for the rest. */
async function readRequest(
  call: Call<string> & { params: ItemNames },
  vault: VaultRef,
): Promise<EnableRequest> {
  const { table } = services();
  const { applianceId } = await getContainer(table, vault, call.params);
  checkResourceName(call.params.itemName, 'replicatedProtectedItemName');
  const { properties } = await call.json(EnableProtectionBody);
  const names: ItemNames = {
    fabricName: fabricNameOf(applianceId),
    containerName: containerNameOf(applianceId),
    itemName: call.params.itemName,
  };
  const [policyName = ''] = namesInId(properties.policyId, {
    vault,
    types: ['replicationPolicies'],
    target: 'properties.policyId',
  });
  const [fabricName = '', containerName = '', protectableItemName = ''] = namesInId(
    properties.protectableItemId,
    {
      vault,
      types: ['replicationFabrics', 'replicationProtectionContainers', 'replicationProtectableItems'],
      target: 'properties.protectableItemId',
    },
  );
  refuseOtherContainer(names, { fabricName, containerName });
  const protectable = await getMachineNow(table, { vault, applianceId }, protectableItemName);
  return { names, applianceId, policyName, protectable, input: properties.providerSpecificDetails };
}

function refuseOtherContainer(wanted: ItemNames, found: { fabricName: string; containerName: string }): void {
  if (sameName(wanted.fabricName, found.fabricName) && sameName(wanted.containerName, found.containerName))
    return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: 'The protectable item lies in another protection container than the one of this request.',
    target: 'properties.protectableItemId',
    recommendedAction:
      'Enable replication in the container of the configuration server that discovered the machine.',
  });
}

function hasCode(error: unknown, ...codes: DomainError['fault']['code'][]): boolean {
  return error instanceof DomainError && codes.includes(error.fault.code);
}
