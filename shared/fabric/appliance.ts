/**
 * A registered appliance. In Site Recovery's words it is three things at once: a fabric (the configuration server as
 * the vault sees it), a recovery services provider, and a protection container. One row holds them all; what changes
 * every half minute lies apart (heartbeat.ts).
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type ChildPath, type VaultRef, sameName } from '../arm/resource-id.ts';
import { type RowKey, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row, Rows, notFound } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
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
});
export type Appliance = z.infer<typeof Appliance>;

const kind = 'replicationFabrics';

/** Name of the fabric: 64 hex digits, as Site Recovery names a VMware fabric. */
export function fabricNameOf(applianceId: string): string {
  return createHash('sha256').update(`fabric ${applianceId.toLowerCase()}`).digest('hex');
}

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

/** The appliance behind a fabric. @throws ResourceNotFound */
export async function getFabric(table: Table, vault: VaultRef, fabricName: string): Promise<Appliance> {
  const row = await new Rows(table, Appliance).get(
    applianceKey(vault, fabricName),
    `The fabric '${fabricName}'`,
  );
  return row.value;
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
