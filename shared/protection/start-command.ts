import { type Appliance } from '../fabric/appliance.ts';
import { type CommandBody, type PointSchedule } from '../wire/command.ts';
import { type ProtectedItem, diskRefs } from './protected-item.ts';
import { type ReplicaVault, openDataKey } from './replica-container.ts';
import { sealDataKey } from './seal-data-key.ts';

/** The command by which an appliance replicates an item, with the data key sealed for it. Never to be logged. */
export async function startCommand(
  services: ReplicaVault,
  { item, appliance, schedule }: { item: ProtectedItem; appliance: Appliance; schedule: PointSchedule },
): Promise<Extract<CommandBody, { kind: 'startReplication' }>> {
  const dataKey = await openDataKey(services, item.protectedItemId);
  return {
    kind: 'startReplication',
    protectedItemId: item.protectedItemId,
    biosUuid: item.machine.biosUuid,
    machineName: item.machine.name,
    disks: diskRefs(item),
    sealedDataKey: await sealDataKey(dataKey, appliance.encryptionKey),
    schedule,
  };
}
