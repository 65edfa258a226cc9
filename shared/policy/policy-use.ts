/**
 * What keeps a policy or its association from going. Removing marks first and looks then; who begins to use one
 * writes first and looks then whether it is marked: of two that meet, at least one sees the other.
 */
import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { findItemWhere } from '../protection/protected-item-store.ts';
import { type Table } from '../store/table.ts';
import { type ContainerNames, type Mapping } from './mapping.ts';
import { findMapping, listMappings, markMappingRemoving, removeMapping } from './mapping-store.ts';
import { type Policy, twinNameOf } from './policy.ts';
import { getUsablePolicy, markPolicyRemoving, removePolicy } from './policy-store.ts';

/**
 * Deletes a policy with its automatic twin. One that is gone is as good as deleted.
 * @throws ResourceNotEmpty while it is associated with a configuration server or protects a machine.
 */
export async function deleteUnusedPolicy(table: Table, vault: VaultRef, name: string): Promise<void> {
  const policy = await markPolicyRemoving(table, vault, { name, removing: true });
  if (policy === undefined) return;
  try {
    await refuseUsed(table, vault, policy);
  } catch (error) {
    await markPolicyRemoving(table, vault, { name, removing: false });
    throw error;
  }
  await removePolicy(table, vault, name);
}

async function refuseUsed(table: Table, vault: VaultRef, policy: Policy): Promise<void> {
  const names = policy.instanceType === 'InMage' ? [policy.name] : [policy.name, twinNameOf(policy.name)];
  const mappings = await listMappings(table, vault);
  const mapping = mappings.find(({ policyName }) => names.some((name) => sameName(name, policyName)));
  if (mapping !== undefined) {
    throw inUse(
      `The replication policy '${policy.name}' is associated with a configuration server, as '${mapping.name}'.`,
      'Remove the association (protection container mapping) first.',
      policy.name,
    );
  }
  const item = await findItemWhere(table, vault, ({ policyName }) => sameName(policyName, policy.name));
  if (item === undefined) return;
  throw inUse(
    `The replication policy '${policy.name}' protects '${item.machine.name}'.`,
    'Disable the replication of its machines first.',
    policy.name,
  );
}

/**
 * Removes an association with its automatic twin. One that is gone is as good as removed. With `force` it goes also
 * while machines are protected under it; they stay protected.
 * @throws ResourceNotEmpty
 */
export async function removeUnusedMapping(
  table: Table,
  vault: VaultRef,
  { names, force }: { names: ContainerNames & { name: string }; force: boolean },
): Promise<void> {
  const mapping = await markMappingRemoving(table, vault, { names, removing: true });
  if (mapping === undefined) return;
  if (!force && mapping.direction === 'toAzure') {
    const item = await findItemWhere(
      table,
      vault,
      ({ policyName, containerName }) =>
        sameName(policyName, mapping.policyName) && sameName(containerName, mapping.containerName),
    );
    if (item !== undefined) {
      await markMappingRemoving(table, vault, { names, removing: false });
      throw inUse(
        `The policy '${mapping.policyName}' protects '${item.machine.name}' at this configuration server.`,
        'Disable the replication of its machines first.',
        mapping.name,
      );
    }
  }
  await removeMapping(table, vault, mapping);
}

/**
 * The other side: after an association was written, its policy must still be there.
 * @throws ResourceNotFound, Conflict; the association is taken back then.
 */
export async function keepMappingOfPolicy(table: Table, vault: VaultRef, mapping: Mapping): Promise<void> {
  try {
    await getUsablePolicy(table, vault, mapping.policyName);
  } catch (error) {
    const written = await findMapping(table, vault, mapping);
    if (error instanceof DomainError && written !== undefined) await removeMapping(table, vault, written);
    throw error;
  }
}

function inUse(message: string, recommendedAction: string, target: string): DomainError {
  return new DomainError({ code: 'ResourceNotEmpty', message, recommendedAction, target });
}
