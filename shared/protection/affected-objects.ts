import { azureContainerId } from '../wire/arm-policy.ts';
import { type ProtectedItem } from './protected-item.ts';

/** affectedObjectDetails of a job about a protected item, under the real service's keys. */
export function affectedObjects(item: ProtectedItem, serverName: string): Record<string, string> {
  return {
    primaryVmId: item.machine.protectableItemName,
    primaryVmName: item.machine.name,
    recoveryVmId: '',
    recoveryVmName: item.target.vmName,
    primaryCloudId: item.containerName,
    primaryCloudName: serverName,
    recoveryCloudId: azureContainerId,
    recoveryCloudName: azureContainerId,
    primaryVmmId: item.applianceId,
    primaryVmmName: serverName,
    recoveryVmmId: azureContainerId,
    recoveryVmmName: azureContainerId,
    primaryFabricProviderId: 'VMware',
    recoveryFabricProviderId: 'Azure',
  };
}
