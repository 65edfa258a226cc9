/** What a change of a protected item's properties means: where its machine shall come up, and how. */
import { isDeepStrictEqual } from 'node:util';
import { sameName } from '../arm/resource-id.ts';
import { DomainError } from '../fault.ts';
import { type NicInput, type ProtectedItemChange } from '../wire/arm-protected-item.ts';
import { checkVmName } from './plan-enable.ts';
import { type ItemDisk, type ItemNic, type ItemTarget, type ProtectedItem } from './protected-item.ts';

/**
 * The item with the change; the same object when nothing changes.
 * @throws InvalidRequest naming the field, Conflict while its replication is being disabled.
 */
export function planUpdate(item: ProtectedItem, change: ProtectedItemChange): ProtectedItem {
  if (item.state === 'DisablingProtection') {
    throw new DomainError({
      code: 'Conflict',
      message: `Replication of '${item.machine.name}' is being disabled.`,
      target: item.itemName,
    });
  }
  if (change.recoveryAzureVMName !== undefined) {
    checkVmName(change.recoveryAzureVMName, 'properties.recoveryAzureVMName');
  }
  if (change.selectedSourceNicId !== undefined) {
    requireNic(item, change.selectedSourceNicId, 'properties.selectedSourceNicId');
  }
  const next: ProtectedItem = {
    ...item,
    target: { ...item.target, ...given(targetChange(change)), ...nicChange(item, change) },
    disks: item.disks.map((disk) => renamed(disk, change)),
  };
  for (const disk of change.providerSpecificDetails?.vmDisks ?? []) requireDisk(item, disk.diskId);
  return isDeepStrictEqual(next, item) ? item : next;
}

function targetChange(change: ProtectedItemChange): { [K in keyof ItemTarget]?: ItemTarget[K] | undefined } {
  const details = change.providerSpecificDetails;
  return {
    vmName: change.recoveryAzureVMName,
    vmSize: change.recoveryAzureVMSize,
    networkId: change.selectedRecoveryAzureNetworkId,
    tfoNetworkId: change.selectedTfoAzureNetworkId,
    primaryNicId: change.selectedSourceNicId,
    enableRdp: change.enableRdpOnTargetOption,
    licenseType: change.licenseType,
    availabilitySetId: change.recoveryAvailabilitySetId,
    resourceGroupId: details?.recoveryAzureV2ResourceGroupId ?? details?.recoveryAzureV1ResourceGroupId,
    availabilityZone: details?.targetAvailabilityZone,
    proximityPlacementGroupId: details?.targetProximityPlacementGroupId,
    sqlServerLicenseType: details?.sqlServerLicenseType,
    vmTags: details?.targetVmTags,
  };
}

/** The first chosen card's subnet is the machine's: it is what is checked against the network. */
function nicChange(item: ProtectedItem, change: ProtectedItemChange): Partial<ItemTarget> {
  if (change.vmNics === undefined) return {};
  for (const { nicId } of change.vmNics) requireNic(item, nicId, 'properties.vmNics');
  const named = change.vmNics.map(nicOf);
  const before = item.target.nics ?? [];
  const kept = before.filter(({ nicId }) => !named.some((nic) => sameName(nic.nicId, nicId)));
  const nics = [...kept, ...named];
  const subnetName = nics.find(
    ({ isSelected, recoverySubnetName }) => isSelected && recoverySubnetName !== undefined,
  )?.recoverySubnetName;
  return { nics, ...(subnetName !== undefined && { subnetName }) };
}

function nicOf(input: NicInput): ItemNic {
  const [address] = input.ipConfigs ?? [];
  return {
    nicId: input.nicId.replaceAll('-', ':').toUpperCase(),
    isSelected: input.selectionType !== 'NotSelected',
    ...given({
      recoverySubnetName: address?.recoverySubnetName,
      recoveryStaticIPAddress: address?.recoveryStaticIPAddress,
      tfoSubnetName: address?.tfoSubnetName,
      tfoStaticIPAddress: address?.tfoStaticIPAddress,
      recoveryNetworkSecurityGroupId: input.recoveryNetworkSecurityGroupId,
      recoveryNicName: input.recoveryNicName,
      acceleratedOnRecovery: input.enableAcceleratedNetworkingOnRecovery,
      tfoNetworkSecurityGroupId: input.tfoNetworkSecurityGroupId,
      tfoNicName: input.tfoNicName,
      acceleratedOnTfo: input.enableAcceleratedNetworkingOnTfo,
    }),
  };
}

function renamed(disk: ItemDisk, change: ProtectedItemChange): ItemDisk {
  const named = change.providerSpecificDetails?.vmDisks?.find(({ diskId }) => sameName(diskId, disk.diskId));
  return named?.targetDiskName === undefined ? disk : { ...disk, targetDiskName: named.targetDiskName };
}

function requireNic(item: ProtectedItem, nicId: string, target: string): void {
  const wanted = nicId.replaceAll('-', ':');
  if (item.machine.nics.some(({ mac }) => sameName(mac, wanted))) return;
  throw notThere(
    `The machine '${item.machine.name}' has no network card '${nicId.slice(0, 100)}'.`,
    item.machine.nics.map(({ mac }) => mac),
    target,
  );
}

function requireDisk(item: ProtectedItem, diskId: string): void {
  if (item.disks.some((disk) => sameName(disk.diskId, diskId))) return;
  throw notThere(
    `No disk '${diskId.slice(0, 100)}' of '${item.machine.name}' is replicated.`,
    item.disks.map((disk) => disk.diskId),
    'properties.providerSpecificDetails.vmDisks',
  );
}

function notThere(message: string, known: readonly string[], target: string): DomainError {
  return new DomainError({
    code: 'InvalidRequest',
    message,
    target,
    recommendedAction: `It has: ${known.join(', ').slice(0, 1_000)}.`,
  });
}

/** What is not undefined. */
function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
