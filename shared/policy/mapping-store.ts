import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { type ContainerNames, Mapping, checkMappedOnce, sameMapping } from './mapping.ts';
import { twinNameOf } from './policy.ts';

const kind = 'replicationProtectionContainerMappings';

/** @throws ResourceNotFound */
export async function getMapping(
  table: Table,
  vault: VaultRef,
  names: ContainerNames & { name: string },
): Promise<Mapping> {
  const row = await new Rows(table, Mapping).get(
    mappingKey(vault, names),
    `The protection container mapping '${names.name}'`,
  );
  return row.value;
}

/** Mappings of one container, or of the whole vault. */
export async function listMappings(
  table: Table,
  vault: VaultRef,
  container?: ContainerNames,
): Promise<Mapping[]> {
  const rows = await new Rows(table, Mapping).all(rangeOf(vault, container));
  return rows.map(({ value }) => value);
}

/** The mapping that lets machines of a container be protected under a policy. */
export async function findPolicyMapping(
  table: Table,
  vault: VaultRef,
  where: { container: ContainerNames; policyName: string },
): Promise<Mapping | undefined> {
  const mappings = await listMappings(table, vault, where.container);
  return mappings.find(
    ({ policyName, direction }) => direction === 'toAzure' && sameName(policyName, where.policyName),
  );
}

/**
 * Writes a mapping, and with one to Azure the failback twin's. A policy is mapped to a container once; an automatic
 * mapping makes way. Doing it again changes nothing.
 * @throws Conflict
 */
export async function createMapping(table: Table, vault: VaultRef, wanted: Mapping): Promise<void> {
  await insertMapping(table, vault, wanted);
  if (wanted.direction !== 'toAzure') return;
  const twin: Mapping = {
    ...wanted,
    name: twinNameOf(wanted.name),
    policyName: twinNameOf(wanted.policyName),
    direction: 'toSite',
    automatic: true,
  };
  const existing = await listMappings(table, vault, wanted);
  const isThere = existing.some(
    ({ name, policyName }) => sameName(policyName, twin.policyName) || sameName(name, twin.name),
  );
  if (!isThere) await insertMapping(table, vault, twin);
}

/** What creating a mapping would mean now. @throws Conflict */
export async function planMapping(
  table: Table,
  vault: VaultRef,
  wanted: Mapping,
): Promise<'create' | 'none'> {
  const existing = await listMappings(table, vault, wanted);
  checkMappedOnce(wanted, existing);
  const same = existing.find(({ name }) => sameName(name, wanted.name));
  if (same === undefined) return 'create';
  if (sameMapping(same, wanted)) return same.automatic && !wanted.automatic ? 'create' : 'none';
  throw nameTaken(same);
}

async function insertMapping(table: Table, vault: VaultRef, wanted: Mapping): Promise<void> {
  const rows = new Rows(table, Mapping);
  const existing = await listMappings(table, vault, wanted);
  checkMappedOnce(wanted, existing);
  const replaced = existing.find(
    ({ policyName, name, automatic }) =>
      automatic && sameName(policyName, wanted.policyName) && !sameName(name, wanted.name),
  );
  await rows.update(mappingKey(vault, wanted), (known) => {
    if (known === undefined || (known.automatic && sameMapping(known, wanted))) return wanted;
    if (!sameMapping(known, wanted)) throw nameTaken(known);
    return undefined;
  });
  if (replaced !== undefined) await rows.delete(mappingKey(vault, replaced));
}

function nameTaken(existing: Mapping): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: `The mapping '${existing.name}' exists already, for the policy '${existing.policyName}'.`,
    target: existing.name,
    recommendedAction: 'Choose another name for the mapping.',
  });
}

function mappingKey(vault: VaultRef, names: ContainerNames & { name: string }): RowKey {
  return rowKey(vaultPartition(vault), kind, names.fabricName, names.containerName, names.name);
}

function rangeOf(vault: VaultRef, container: ContainerNames | undefined): RowRange {
  const names = container === undefined ? [] : [container.fabricName, container.containerName];
  return rowsBelow(vaultPartition(vault), kind, ...names);
}
