/**
 * A registered appliance. In Site Recovery's words it is three things at once: a fabric (the configuration server as
 * the vault sees it), a recovery services provider, and a protection container. One row holds them all; what changes
 * every half minute lies apart (heartbeat.ts).
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../fault.ts';
import { type ChildPath, type VaultRef, sameName } from '../arm/resource-id.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row, Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { remembered } from '../remembered.ts';
import { ApplianceMachine, PublicKeyJwk } from '../wire/registration.ts';

export const Appliance = z.object({
  /** GUID: the provider's name and the id of its process server. */
  applianceId: z.uuid(),
  /** ARM id of the vault, spelled as when the vault was made. */
  vaultId: z.string(),
  signingKey: PublicKeyJwk,
  encryptionKey: PublicKeyJwk,
  /** As it was at registration; heartbeats tell what it is now. */
  machine: ApplianceMachine,
  registeredAtMs: z.number(),
  /** Its removal has begun. Nothing may be begun on it any more. */
  removing: z.literal(true).exactOptional(),
});
export type Appliance = z.infer<typeof Appliance>;

const kind = 'replicationFabrics';

/** Name of the fabric: 64 hex digits, as Site Recovery names a VMware fabric. */
export const fabricNameOf: (applianceId: string) => string = remembered((applianceId) =>
  createHash('sha256').update(`fabric ${applianceId.toLowerCase()}`).digest('hex'),
);

/** Name of the one protection container. */
export function containerNameOf(applianceId: string): string {
  return `cloud_${applianceId.toLowerCase()}`;
}

export function fabricPath(applianceId: string): ChildPath {
  return [['replicationFabrics', fabricNameOf(applianceId)]];
}

export function providerPath(applianceId: string): ChildPath {
  return [...fabricPath(applianceId), ['replicationRecoveryServicesProviders', applianceId]];
}

export function containerPath(applianceId: string): ChildPath {
  return [...fabricPath(applianceId), ['replicationProtectionContainers', containerNameOf(applianceId)]];
}

function applianceKey(vault: VaultRef, fabricName: string): RowKey {
  return rowKey(vaultPartition(vault), kind, fabricName);
}

/** Writes the appliance's row unless it is there. */
export async function ensureAppliance(
  table: Table,
  vault: VaultRef,
  appliance: Appliance,
): Promise<Appliance> {
  const rows = new Rows(table, Appliance);
  const key = applianceKey(vault, fabricNameOf(appliance.applianceId));
  const kept = await rows.update(key, (known) => (known === undefined ? appliance : undefined));
  return kept ?? appliance;
}

export async function findAppliance(
  table: Table,
  vault: VaultRef,
  applianceId: string,
): Promise<Appliance | undefined> {
  const row = await new Rows(table, Appliance).find(applianceKey(vault, fabricNameOf(applianceId)));
  return row?.value;
}

/** The appliance behind a fabric. @throws ResourceNotFound; Conflict while it is being removed. */
export async function getFabric(table: Table, vault: VaultRef, fabricName: string): Promise<Appliance> {
  const appliance = await findFabric(table, vault, fabricName);
  if (appliance === undefined) throw notFound(`The fabric '${fabricName}'`);
  if (appliance.removing === undefined) return appliance;
  throw new DomainError({
    code: 'Conflict',
    message: `The configuration server '${appliance.machine.hostName}' is being removed.`,
    recommendedAction: 'Wait until it is gone; remove it again should that not happen.',
  });
}

/** The appliance behind a fabric, also one that is being removed. */
export async function findFabric(
  table: Table,
  vault: VaultRef,
  fabricName: string,
): Promise<Appliance | undefined> {
  return (await new Rows(table, Appliance).find(applianceKey(vault, fabricName)))?.value;
}

/** Marks an appliance whose removal begins, or takes the mark away; answers whether there is such an appliance. */
export async function markRemoving(
  table: Table,
  vault: VaultRef,
  mark: { applianceId: string; removing: boolean },
): Promise<boolean> {
  const key = applianceKey(vault, fabricNameOf(mark.applianceId));
  const kept = await new Rows(table, Appliance).update(key, (appliance) => {
    if (appliance === undefined || (appliance.removing === true) === mark.removing) return undefined;
    const { removing: _, ...rest } = appliance;
    return mark.removing ? { ...rest, removing: true } : rest;
  });
  return kept !== undefined;
}

/** Deletes the appliance's row: from then on its keys are worth nothing. */
export async function deleteAppliance(table: Table, vault: VaultRef, applianceId: string): Promise<void> {
  await new Rows(table, Appliance).delete(applianceKey(vault, fabricNameOf(applianceId)));
}

/** The appliance behind a fabric's protection container. @throws ResourceNotFound */
export async function getContainer(
  table: Table,
  vault: VaultRef,
  names: { fabricName: string; containerName: string },
): Promise<Appliance> {
  const appliance = await getFabric(table, vault, names.fabricName);
  if (sameName(names.containerName, containerNameOf(appliance.applianceId))) return appliance;
  throw notFound(`The protection container '${names.containerName}' of the fabric '${names.fabricName}'`);
}

/** All appliances of a vault; a vault has a handful. */
export async function listAppliances(table: Table, vault: VaultRef): Promise<Appliance[]> {
  const rows: Row<Appliance>[] = await new Rows(table, Appliance).all(rowsBelow(vaultPartition(vault), kind));
  return rows.map(({ value }) => value);
}
