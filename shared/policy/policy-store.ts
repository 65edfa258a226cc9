import { type VaultRef } from '../arm/resource-id.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { Policy, planPolicy, twinOf } from './policy.ts';

const kind = 'replicationPolicies';

export async function findPolicy(table: Table, vault: VaultRef, name: string): Promise<Policy | undefined> {
  return (await new Rows(table, Policy).find(policyKey(vault, name)))?.value;
}

/** @throws ResourceNotFound */
export async function getPolicy(table: Table, vault: VaultRef, name: string): Promise<Policy> {
  const row = await new Rows(table, Policy).get(policyKey(vault, name), `The replication policy '${name}'`);
  return row.value;
}

/** All policies of a vault; a vault has a handful. */
export async function listPolicies(table: Table, vault: VaultRef): Promise<Policy[]> {
  const rows = await new Rows(table, Policy).all(rowsBelow(vaultPartition(vault), kind));
  return rows.map(({ value }) => value);
}

/**
 * Writes a policy and its failback twin. Doing it again, or finding both as wanted, changes nothing. A twin that
 * somebody made himself stays as he made it.
 * @throws Conflict when the name is taken by a policy with other settings.
 */
export async function createPolicy(
  table: Table,
  vault: VaultRef,
  wanted: { policy: Policy; twinId: string },
): Promise<void> {
  const rows = new Rows(table, Policy);
  const { policy, twinId } = wanted;
  await rows.update(policyKey(vault, policy.name), (existing) =>
    planPolicy(policy, existing) === 'create' ? policy : undefined,
  );
  const twin = twinOf(policy, twinId);
  if (twin === undefined) return;
  await rows.update(policyKey(vault, twin.name), (existing) => (existing === undefined ? twin : undefined));
}

function policyKey(vault: VaultRef, name: string): RowKey {
  return rowKey(vaultPartition(vault), kind, name);
}
