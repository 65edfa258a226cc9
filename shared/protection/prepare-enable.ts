/** What the Enable replication job checks before it touches anything. */
import { type VaultRef, childIdOf } from '../arm/resource-id.ts';
import { type KeptMachine, claimMachine } from '../discovery/machine.ts';
import { getMachineNow } from '../discovery/physical-machine.ts';
import { findAppliance } from '../fabric/appliance.ts';
import { findHeartbeat } from '../fabric/heartbeat.ts';
import { DomainError } from '../fault.ts';
import { findPolicyMapping } from '../policy/mapping-store.ts';
import { type Policy } from '../policy/policy.ts';
import { getPolicy } from '../policy/policy-store.ts';
import { type Table } from '../store/table.ts';
import { planDisks } from './plan-enable.ts';
import { type ProtectedItem, itemPath } from './protected-item.ts';

/** An appliance sends a heartbeat every half minute; after five minutes something is wrong there. */
const inTouchForMs = 5 * 60_000;

/**
 * Checks that an item can be replicated as its row says, and claims its machine.
 * @throws ResourceNotFound, InvalidRequest, Conflict or RemoteFailure, each with what to do.
 */
export async function checkEnable(table: Table, vault: VaultRef, item: ProtectedItem): Promise<void> {
  await requireMappedPolicy(table, vault, item);
  const names = machineNames(item);
  const ref = { vault, applianceId: item.applianceId };
  const machine = await getMachineNow(table, ref, item.machine.protectableItemName);
  requireSameMachine(item, machine);
  planDisks(machine, {
    disksToInclude: item.disks.map(({ diskId }) => ({
      diskId,
      logStorageAccountId: undefined,
      diskType: undefined,
    })),
  });
  await claimMachine(table, vault, { ...names, protectedItemArmId: childIdOf(vault, itemPath(item)) });
  await requireInTouch(table, ref, Date.now());
}

/** An address can have gone over to another machine. @throws Conflict */
function requireSameMachine(item: ProtectedItem, now: KeptMachine): void {
  if (now.isPhysical !== true || now.machine.biosUuid === item.machine.biosUuid) return;
  throw new DomainError({
    code: 'Conflict',
    message: `The mobility agent at the address of '${item.machine.name}' is no longer that of the machine ${item.machine.biosUuid}.`,
    target: 'protectableItemId',
    recommendedAction: 'Look which machine has the address, then enable replication again.',
  });
}

/**
 * The policy of an item, which must be associated with its container.
 * @throws ResourceNotFound, InvalidRequest
 */
export async function requireMappedPolicy(
  table: Table,
  vault: VaultRef,
  wanted: { fabricName: string; containerName: string; policyName: string },
): Promise<Policy> {
  const policy = await getPolicy(table, vault, wanted.policyName);
  const mapping = await findPolicyMapping(table, vault, { container: wanted, policyName: policy.name });
  if (mapping !== undefined) return policy;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The policy '${policy.name}' is not associated with this configuration server.`,
    target: 'properties.policyId',
    recommendedAction: `Create a protection container mapping with target 'Microsoft Azure' and this policy first.`,
  });
}

/** Names by which the item's machine is found. */
export function machineNames(item: ProtectedItem) {
  return {
    fabricName: item.fabricName,
    containerName: item.containerName,
    protectableItemName: item.machine.protectableItemName,
  };
}

/** @throws RemoteFailure when the appliance has not been heard of for minutes. */
export async function requireInTouch(
  table: Table,
  ref: { vault: VaultRef; applianceId: string },
  nowMs: number,
): Promise<void> {
  const [appliance, last] = await Promise.all([
    findAppliance(table, ref.vault, ref.applianceId),
    findHeartbeat(table, ref),
  ]);
  if (last !== undefined && nowMs - last.receivedAtMs < inTouchForMs) return;
  const since =
    last === undefined
      ? 'never been in touch'
      : `not been in touch since ${new Date(last.receivedAtMs).toISOString()}`;
  throw new DomainError({
    code: 'RemoteFailure',
    message: `The configuration server '${appliance?.machine.hostName ?? ref.applianceId}' has ${since}.`,
    possibleCauses: 'It is stopped, or can not reach Service Bus.',
    recommendedAction: 'Start the configuration server, check its network, then repeat the operation.',
  });
}
