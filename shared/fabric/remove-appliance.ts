/** Takes a configuration server out of its vault: its keys, its queue, and all that is remembered of it. */
import { type VaultRef } from '../arm/resource-id.ts';
import { type CommandQueues } from '../command/command-queue.ts';
import { forgetServerHealth } from '../event/health-watch.ts';
import { DomainError } from '../fault.ts';
import { deleteRows } from '../store/delete-rows.ts';
import { rowsBelow, vaultPartition } from '../store/row-key.ts';
import { type Table } from '../store/table.ts';
import { deleteAppliance, fabricNameOf, markRemoving } from './appliance.ts';
import { forgetHeartbeat } from './heartbeat.ts';
import { revokeRegistrationKeys } from './registration-key.ts';

/** What a person has to take away before, and what it is called. A purge takes the last two itself. */
const guardedKinds = [
  ['replicationProtectedItems', 'protected items', false],
  ['replicationProtectionContainerMappings', 'associated policies', true],
  ['replicationvCenters', 'vCenter servers', true],
] as const;

/**
 * Removes an appliance. It is marked first, so that nothing is begun on it any more; when its row is gone its keys
 * work no longer: neither for tokens nor for check-ins. Then its queue and its rows go. Repeating an interrupted
 * removal ends it; one that is not there is as good as removed.
 * @throws ResourceNotEmpty; Unavailable when Service Bus or Storage can not be reached.
 */
export async function removeAppliance(
  services: { table: Table; commandQueues: Pick<CommandQueues, 'delete'> },
  vault: VaultRef,
  which: { applianceId: string; force: boolean },
): Promise<void> {
  const { table } = services;
  const { applianceId, force } = which;
  await refuseHolding(table, vault, which);
  if (await markRemoving(table, vault, { applianceId, removing: true })) {
    try {
      await refuseHolding(table, vault, which);
    } catch (error) {
      await markRemoving(table, vault, { applianceId, removing: false });
      throw error;
    }
    await deleteAppliance(table, vault, applianceId);
  }
  await revokeRegistrationKeys(table, vault, applianceId);
  await services.commandQueues.delete(applianceId);
  await forgetHeartbeat(table, { vault, applianceId });
  await forgetServerHealth(table, vault, applianceId);
  const partition = vaultPartition(vault);
  for (const kind of ['discoveries', 'progress', 'applianceitems', 'commandresults', 'appliancewatch']) {
    await deleteRows(table, rowsBelow(partition, kind, applianceId));
  }
  const below = [
    'replicationProtectableItems',
    ...(force ? guardedKinds.slice(1).map(([kind]) => kind) : []),
  ];
  for (const kind of below) await deleteRows(table, rowsBelow(partition, kind, fabricNameOf(applianceId)));
}

/** @throws ResourceNotEmpty */
export async function refuseHolding(
  table: Table,
  vault: VaultRef,
  { applianceId, force }: { applianceId: string; force: boolean },
): Promise<void> {
  const held: string[] = [];
  for (const [kind, words, goesWithForce] of guardedKinds) {
    if (force && goesWithForce) continue;
    const range = rowsBelow(vaultPartition(vault), kind, fabricNameOf(applianceId));
    if ((await table.page(range, { most: 1 })).entities.length > 0) held.push(words);
  }
  if (held.length === 0) return;
  throw new DomainError({
    code: 'ResourceNotEmpty',
    armCode: 'ServerNotEmpty',
    message: `The configuration server can not be removed: it still holds ${held.join(', ')}.`,
    recommendedAction: force
      ? 'Purge each protected item (DELETE), then purge the server again.'
      : 'Disable the replication of its machines, remove its associated policies, delete its vCenter servers, then remove it again. A server that is gone for good can be purged (DELETE).',
  });
}
