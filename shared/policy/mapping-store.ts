import { z } from 'zod';
import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { Rows } from '../store/rows.ts';
import { type RowWrite, type Table } from '../store/table.ts';
import { type ContainerNames, Mapping, checkMappedOnce, sameMapping } from './mapping.ts';
import { twinNameOf } from './policy.ts';

const kind = 'replicationProtectionContainerMappings';
const mostAttempts = 20;

/** Under which name a policy is mapped to a container: one row for each pair of them. */
const Association = z.object({ name: z.string(), automatic: z.boolean() });

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

export async function findMapping(
  table: Table,
  vault: VaultRef,
  names: ContainerNames & { name: string },
): Promise<Mapping | undefined> {
  return (await new Rows(table, Mapping).find(mappingKey(vault, names)))?.value;
}

/** Marks a mapping as going, or takes the mark back. A mapping that is not there stays so. */
export async function markMappingRemoving(
  table: Table,
  vault: VaultRef,
  { names, removing }: { names: ContainerNames & { name: string }; removing: boolean },
): Promise<Mapping | undefined> {
  return new Rows(table, Mapping).update(mappingKey(vault, names), (mapping) =>
    mapping === undefined || (mapping.removing ?? false) === removing ? undefined : { ...mapping, removing },
  );
}

/** Deletes a mapping, what keeps its policy from being mapped twice, and the twin that was made with it. */
export async function removeMapping(table: Table, vault: VaultRef, mapping: Mapping): Promise<void> {
  if (mapping.direction === 'toAzure') {
    const all = await listMappings(table, vault, mapping);
    const twin = all.find(
      ({ automatic, policyName }) => automatic && sameName(policyName, twinNameOf(mapping.policyName)),
    );
    if (twin !== undefined) await deleteBoth(table, vault, twin);
  }
  await deleteBoth(table, vault, mapping);
}

async function deleteBoth(table: Table, vault: VaultRef, mapping: Mapping): Promise<void> {
  await table.delete(associationKey(vault, mapping));
  await table.delete(mappingKey(vault, mapping));
}

/** The mapping that lets machines of a container be protected under a policy. */
export async function findPolicyMapping(
  table: Table,
  vault: VaultRef,
  where: { container: ContainerNames; policyName: string },
): Promise<Mapping | undefined> {
  const mappings = await listMappings(table, vault, where.container);
  return mappings.find(
    ({ policyName, direction, removing }) =>
      direction === 'toAzure' && removing !== true && sameName(policyName, where.policyName),
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
  if (same.removing === true) throw beingRemoved(same);
  if (sameMapping(same, wanted)) return same.automatic && !wanted.automatic ? 'create' : 'none';
  throw nameTaken(same);
}

/**
 * Writes the mapping and the row that keeps its policy from being mapped twice, both or neither. An automatic mapping
 * of the same policy makes way.
 */
async function insertMapping(table: Table, vault: VaultRef, wanted: Mapping): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const writes = await planWrites(table, vault, wanted);
    try {
      await table.transact(writes);
      return;
    } catch (error) {
      if (attempt === mostAttempts || !lostRace(error)) throw error;
    }
  }
}

async function planWrites(table: Table, vault: VaultRef, wanted: Mapping): Promise<RowWrite[]> {
  const key = mappingKey(vault, wanted);
  const claimKey = associationKey(vault, wanted);
  const [known, claim] = await Promise.all([
    new Rows(table, Mapping).find(key),
    new Rows(table, Association).find(claimKey),
  ]);
  if (known !== undefined) refuseOtherMapping(known.value, wanted);
  const writes = [
    writeOf(key, wanted, known?.etag),
    writeOf(claimKey, { name: wanted.name, automatic: wanted.automatic }, claim?.etag),
  ];
  const other = otherOf(wanted, claim?.value);
  if (other === undefined) return claim !== undefined && known?.value.automatic === false ? [] : writes;
  if (wanted.automatic) return [];
  checkMappedOnce(wanted, [other]);
  return [...writes, { do: 'delete', key: mappingKey(vault, other) }];
}

function refuseOtherMapping(known: Mapping, wanted: Mapping): void {
  if (!sameMapping(known, wanted)) throw nameTaken(known);
  if (known.removing === true) throw beingRemoved(known);
}

/** The mapping that has the policy already, under another name. */
function otherOf(wanted: Mapping, claim: z.infer<typeof Association> | undefined): Mapping | undefined {
  return claim === undefined || sameName(claim.name, wanted.name) ? undefined : { ...wanted, ...claim };
}

function writeOf(key: RowKey, value: unknown, etag: string | undefined): RowWrite {
  return etag === undefined ? { do: 'insert', key, value } : { do: 'replace', key, value, etag };
}

function lostRace(error: unknown): boolean {
  return (
    error instanceof DomainError &&
    (error.fault.code === 'Conflict' || error.fault.code === 'PreconditionFailed')
  );
}

function beingRemoved(mapping: Mapping): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: `The mapping '${mapping.name}' is being removed.`,
    target: mapping.name,
    recommendedAction: 'Wait until the job has ended, then repeat the request.',
  });
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

function associationKey(vault: VaultRef, mapping: Mapping): RowKey {
  const { fabricName, containerName, policyName } = mapping;
  return rowKey(vaultPartition(vault), 'policyassociations', fabricName, containerName, policyName);
}

function rangeOf(vault: VaultRef, container: ContainerNames | undefined): RowRange {
  const names = container === undefined ? [] : [container.fabricName, container.containerName];
  return rowsBelow(vaultPartition(vault), kind, ...names);
}
