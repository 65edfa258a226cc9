import { type VaultRef } from '../arm/resource-id.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { type PolicyChange } from '../wire/arm-policy.ts';
import { Policy, beingDeleted, changedPolicy, planPolicy, twinNameOf, twinOf } from './policy.ts';

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

/** A policy that somebody may begin to use. @throws ResourceNotFound, Conflict while it is being deleted. */
export async function getUsablePolicy(table: Table, vault: VaultRef, name: string): Promise<Policy> {
  const policy = await getPolicy(table, vault, name);
  if (policy.removing === true) throw beingDeleted(policy);
  return policy;
}

/**
 * Changes a policy, and the failback twin that was made with it. Doing it again changes nothing.
 * @throws ResourceNotFound, InvalidRequest, Conflict
 */
export async function changePolicy(
  table: Table,
  vault: VaultRef,
  { name, change }: { name: string; change: PolicyChange },
): Promise<Policy> {
  const rows = new Rows(table, Policy);
  const changed = await rows.update(policyKey(vault, name), (policy) => {
    if (policy === undefined) throw notFound(`The replication policy '${name}'`);
    const next = changedPolicy(policy, change);
    return next === policy ? undefined : next;
  });
  if (changed === undefined) throw notFound(`The replication policy '${name}'`);
  if (changed.instanceType === 'InMage') return changed;
  await rows.update(policyKey(vault, twinNameOf(name)), (twin) =>
    twin?.automatic === true
      ? twinOf({ ...changed, createdAtMs: twin.createdAtMs }, twin.policyId)
      : undefined,
  );
  return changed;
}

/** Marks a policy as going, or takes the mark back. A policy that is not there stays so. */
export async function markPolicyRemoving(
  table: Table,
  vault: VaultRef,
  { name, removing }: { name: string; removing: boolean },
): Promise<Policy | undefined> {
  return new Rows(table, Policy).update(policyKey(vault, name), (policy) =>
    policy === undefined || (policy.removing ?? false) === removing ? undefined : { ...policy, removing },
  );
}

/** Deletes a policy, and the failback twin that was made with it. */
export async function removePolicy(table: Table, vault: VaultRef, name: string): Promise<void> {
  const rows = new Rows(table, Policy);
  const twin = await rows.find(policyKey(vault, twinNameOf(name)));
  if (twin?.value.automatic === true) await rows.delete(policyKey(vault, twinNameOf(name)), twin.etag);
  await rows.delete(policyKey(vault, name));
}

function policyKey(vault: VaultRef, name: string): RowKey {
  return rowKey(vaultPartition(vault), kind, name);
}
