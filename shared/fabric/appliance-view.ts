import { type VaultRef } from '../arm/resource-id.ts';
import { rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Table } from '../store/table.ts';
import { type Appliance, containerNameOf, fabricNameOf } from './appliance.ts';
import { findWatch } from './appliance-watch.ts';
import { listApplianceItems } from './appliance-item.ts';
import { type ApplianceView } from './fabric-answer.ts';
import { findHeartbeat } from './heartbeat.ts';

/** Gathers what the answers about an appliance are made of. */
export async function viewAppliance(
  table: Table,
  vault: VaultRef,
  appliance: Appliance,
): Promise<ApplianceView> {
  const ref = { vault, applianceId: appliance.applianceId };
  const [heartbeat, watch, items, paired] = await Promise.all([
    findHeartbeat(table, ref),
    findWatch(table, ref),
    listApplianceItems(table, ref),
    isPaired(table, vault, appliance.applianceId),
  ]);
  return { vault, appliance, heartbeat, watch, protectedItemCount: items.length, paired, nowMs: Date.now() };
}

async function isPaired(table: Table, vault: VaultRef, applianceId: string): Promise<boolean> {
  const mappings = rowsBelow(
    vaultPartition(vault),
    'replicationProtectionContainerMappings',
    fabricNameOf(applianceId),
    containerNameOf(applianceId),
  );
  return (await table.page(mappings, { most: 1 })).entities.length > 0;
}
