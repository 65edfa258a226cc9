/** Machines as the vault knows them from its appliances' discovery: what Site Recovery calls protectable items. */
import { z } from 'zod';
import { type VaultRef, sameName } from '../arm/resource-id.ts';
import { containerNameOf, fabricNameOf } from '../fabric/appliance.ts';
import { DomainError } from '../fault.ts';
import { type RowKey, type RowRange, rowKey, rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Row, type RowPage, Rows } from '../store/rows.ts';
import { type Table } from '../store/table.ts';
import { uuidV5 } from '../uuid.ts';
import { DiscoveredMachine } from '../wire/discovery.ts';

/** A discovered machine as it lies in its row. */
export const KeptMachine = z.object({
  /** Name of the protectable item: a GUID that stays when the machine is discovered again. */
  itemName: z.uuid(),
  vCenterName: z.string(),
  machine: DiscoveredMachine,
  /** Another machine of the same vCenter has the same BIOS UUID, so an agent can not tell which of them it is on. */
  sharesBiosUuid: z.boolean(),
  /** Named by a person, not listed by a vCenter server; `machine` holds what the person said. */
  isPhysical: z.literal(true).exactOptional(),
  /** ARM id of the protected item that protects it. */
  protectedBy: z.string().exactOptional(),
  /** Since when a protected machine is no longer in the inventory; one that is not protected is forgotten at once. */
  vanishedAtMs: z.number().exactOptional(),
});
export type KeptMachine = z.infer<typeof KeptMachine>;

/** What stands in the place of a physical machine's BIOS UUID until its agent tells it. */
export const unknownBiosUuid = '00000000-0000-0000-0000-000000000000';

/** Names of a protectable item's path. */
export type MachineNames = { fabricName: string; containerName: string; protectableItemName: string };

const kind = 'replicationProtectableItems';

/** The GUID of a vCenter in a vault; its machines name it. */
export function infrastructureIdOf(applianceId: string, vCenterName: string): string {
  return uuidV5(applianceId, `vcenter/${vCenterName.toLowerCase()}`);
}

/** Machines of an appliance's container. */
export function machineRange(vault: VaultRef, applianceId: string): RowRange {
  return rowsBelow(vaultPartition(vault), kind, fabricNameOf(applianceId), containerNameOf(applianceId));
}

export function machineKey(vault: VaultRef, names: MachineNames): RowKey {
  return rowKey(
    vaultPartition(vault),
    kind,
    names.fabricName,
    names.containerName,
    names.protectableItemName,
  );
}

/** @throws ResourceNotFound */
export function getMachine(table: Table, vault: VaultRef, names: MachineNames): Promise<Row<KeptMachine>> {
  const subject = `The protectable item '${names.protectableItemName}'`;
  return new Rows(table, KeptMachine).get(machineKey(vault, names), subject);
}

export function pageOfMachines(
  table: Table,
  range: RowRange,
  options: { most: number; continuation: string | undefined },
): Promise<RowPage<KeptMachine>> {
  return new Rows(table, KeptMachine).page(range, options);
}

/** Whether one of a vCenter's machines is protected. */
export async function hasProtectedMachine(
  table: Table,
  vault: VaultRef,
  of: { applianceId: string; vCenterName: string },
): Promise<boolean> {
  const rows = await new Rows(table, KeptMachine).all(machineRange(vault, of.applianceId));
  return rows.some(
    ({ value }) => value.protectedBy !== undefined && sameName(value.vCenterName, of.vCenterName),
  );
}

/**
 * Makes a protected item the one that protects the machine; repeating it changes nothing.
 * @throws ResourceNotFound; Conflict when another item protects the machine.
 */
export async function claimMachine(
  table: Table,
  vault: VaultRef,
  claim: MachineNames & { protectedItemArmId: string },
): Promise<void> {
  await getMachine(table, vault, claim);
  await new Rows(table, KeptMachine).update(machineKey(vault, claim), (kept) => {
    if (kept === undefined) return undefined;
    if (kept.protectedBy === undefined) return { ...kept, protectedBy: claim.protectedItemArmId };
    if (sameName(kept.protectedBy, claim.protectedItemArmId)) return undefined;
    throw new DomainError({
      code: 'Conflict',
      message: `The machine '${kept.machine.name}' is protected already, by '${kept.protectedBy}'.`,
      target: 'protectableItemId',
      recommendedAction: 'Use that protected item, or disable its replication first.',
    });
  });
}

/** Frees the machine again; a machine that has vanished meanwhile is forgotten. Repeating it changes nothing. */
export async function releaseMachine(
  table: Table,
  vault: VaultRef,
  claim: MachineNames & { protectedItemArmId: string },
): Promise<void> {
  const rows = new Rows(table, KeptMachine);
  const key = machineKey(vault, claim);
  await rows.update(key, (kept) => {
    if (kept?.protectedBy === undefined || !sameName(kept.protectedBy, claim.protectedItemArmId))
      return undefined;
    const { protectedBy: _, ...free } = kept;
    return free;
  });
  const row = await rows.find(key);
  if (row?.value.vanishedAtMs !== undefined && row.value.protectedBy === undefined) {
    await rows.delete(key, row.etag);
  }
}
