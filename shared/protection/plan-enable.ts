/** What a request to protect a machine means, decided from what is known, without any effect. */
import { createHash } from 'node:crypto';
import { DomainError } from '../fault.ts';
import { sameName } from '../arm/resource-id.ts';
import { type KeptMachine } from '../discovery/machine.ts';
import { readinessErrors } from '../discovery/readiness.ts';
import { type InMageAzureV2EnableInput } from '../wire/arm-protected-item.ts';
import { type DiscoveredMachine } from '../wire/discovery.ts';
import {
  type ItemDisk,
  type ItemMachine,
  type ItemNames,
  type ItemTarget,
  type ProtectedItem,
} from './protected-item.ts';

export interface EnableRequest {
  names: ItemNames;
  applianceId: string;
  policyName: string;
  protectable: KeptMachine;
  input: InMageAzureV2EnableInput;
}

const field = 'properties.providerSpecificDetails';
/**
 * The item that the request asks for.
 * @throws InvalidRequest, Conflict or NotSupported naming what stands against it.
 */
export function planEnable(
  request: EnableRequest,
  made: { protectedItemId: string; jobId: string; atMs: number },
): ProtectedItem {
  const { names, applianceId, policyName, protectable, input } = request;
  checkProcessServer(input, applianceId);
  return {
    ...names,
    protectedItemId: made.protectedItemId,
    applianceId,
    policyName,
    machine: machineOf(protectable),
    disks: planDisks(protectable, input).map((disk, number) => ({ ...disk, number })),
    target: planTarget(protectable.machine, input),
    processServerId: applianceId,
    ...(input.runAsAccountId !== undefined && { runAsAccountId: input.runAsAccountId }),
    ...(input.multiVmGroupName !== undefined && { multiVmGroupName: input.multiVmGroupName }),
    ...(input.multiVmGroupId !== undefined && { multiVmGroupId: input.multiVmGroupId }),
    state: 'EnablingProtection',
    requestHash: hashRequest(request),
    enableJobId: made.jobId,
    currentJob: { jobId: made.jobId, scenario: 'EnableDr', startedAtMs: made.atMs },
    createdAtMs: made.atMs,
  };
}

/** Tells whether two requests ask for the same, whatever the machine looks like by now. */
export function hashRequest(request: EnableRequest): string {
  const { names, policyName, protectable, input } = request;
  const asked = [names, policyName, protectable.itemName].map((part) => JSON.stringify(part).toLowerCase());
  return createHash('sha256')
    .update(JSON.stringify([...asked, input]))
    .digest('hex');
}

/**
 * What a request means where the item is there already: it is the same request, or it can not be done.
 * @throws Conflict
 */
export function refuseOther(existing: ProtectedItem, requestHash: string): void {
  if (existing.state === 'DisablingProtection') {
    throw conflict(
      `Replication of '${existing.machine.name}' is being disabled.`,
      'Wait until the job has ended, then enable replication again.',
    );
  }
  if (existing.requestHash === requestHash) return;
  throw conflict(
    `The replication protected item '${existing.itemName}' exists already, for '${existing.machine.name}' and with other settings.`,
    'Update the existing item, or disable its replication first.',
  );
}

/**
 * The disks to replicate, all or those asked for.
 * @throws InvalidRequest when the machine can not be protected with them.
 */
export function planDisks(
  protectable: KeptMachine,
  input: Pick<InMageAzureV2EnableInput, 'disksToInclude'>,
): Omit<ItemDisk, 'number'>[] {
  const { machine } = protectable;
  const wanted = input.disksToInclude?.map(({ diskId }) => diskId) ?? [];
  for (const diskId of wanted) refuseUnknownDisk(machine, diskId);
  const chosen = machine.disks.filter(
    (disk) => wanted.length === 0 || wanted.some((diskId) => sameName(diskId, disk.diskId)),
  );
  const errors = readinessErrors({ ...protectable, machine: { ...machine, disks: chosen } });
  if (errors.length > 0) {
    throw invalid(
      `The machine '${machine.name}' can not be protected. ${errors.join(' ').slice(0, 3_000)}`,
      machine.disks.length === 0
        ? 'Add a disk to the machine, refresh the configuration server, then enable replication.'
        : 'Put this right and refresh the configuration server; single disks can be left out of disksToInclude.',
      'properties.protectableItemId',
    );
  }
  return chosen.map(({ diskId, capacityBytes, label }) => ({ diskId, sizeBytes: capacityBytes, label }));
}

function refuseUnknownDisk(machine: DiscoveredMachine, diskId: string): void {
  if (machine.disks.some((disk) => sameName(disk.diskId, diskId))) return;
  throw invalid(
    `The machine '${machine.name}' has no disk '${diskId.slice(0, 100)}'.`,
    `Its disks are: ${machine.disks
      .map((disk) => disk.diskId)
      .join(', ')
      .slice(0, 1_000)}.`,
    `${field}.disksToInclude`,
  );
}

function checkProcessServer(input: InMageAzureV2EnableInput, applianceId: string): void {
  if (input.processServerId === undefined || sameName(input.processServerId, applianceId)) return;
  throw invalid(
    `There is no process server '${input.processServerId.slice(0, 100)}' at this configuration server.`,
    `Send '${applianceId}', or leave processServerId out.`,
    `${field}.processServerId`,
  );
}

function planTarget(machine: DiscoveredMachine, input: InMageAzureV2EnableInput): ItemTarget {
  const vmName = input.targetAzureVmName ?? azureNameOf(machine.name);
  checkVmName(vmName, `${field}.targetAzureVmName`);
  if (input.targetAzureNetworkId !== undefined && input.targetAzureSubnetId === undefined) {
    throw invalid(
      'The target network has no subnet with it.',
      'Send the name of a subnet of the network in targetAzureSubnetId.',
      `${field}.targetAzureSubnetId`,
    );
  }
  const target: Partial<Record<keyof ItemTarget, string | undefined>> = {
    vmName,
    storageAccountId: input.storageAccountId,
    logStorageAccountId: input.logStorageAccountId,
    networkId: input.targetAzureNetworkId,
    subnetName: input.targetAzureSubnetId,
    resourceGroupId: input.targetAzureV2ResourceGroupId ?? input.targetAzureV1ResourceGroupId,
    vmSize: input.targetVmSize,
    diskType: input.diskType,
    licenseType: input.licenseType,
    availabilityZone: input.targetAvailabilityZone,
    enableRdp: input.enableRdpOnTargetOption ?? 'Never',
  };
  return Object.fromEntries(Object.entries(target).filter(([, value]) => value !== undefined)) as ItemTarget;
}

/** @throws InvalidRequest when Azure takes no such name for a virtual machine; `target` names the field. */
export function checkVmName(vmName: string, target: string): void {
  if (/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/iu.test(vmName)) return;
  throw invalid(
    `'${vmName.slice(0, 100)}' can not be the name of a virtual machine in Azure.`,
    'Use 1 to 63 letters, digits and hyphens; begin and end with a letter or digit.',
    target,
  );
}

/** A name for the machine in Azure, from whatever it is called on site. */
export function azureNameOf(name: string): string {
  const fitting = name
    .normalize('NFKD')
    .replaceAll(/[^a-zA-Z0-9-]+/gu, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/gu, '');
  return fitting === '' ? 'recovered-machine' : fitting;
}

function machineOf({ itemName, vCenterName, machine }: KeptMachine): ItemMachine {
  return {
    protectableItemName: itemName,
    name: machine.name,
    biosUuid: machine.biosUuid,
    osType: machine.osType,
    osName: machine.guestFullName,
    firmware: machine.firmware,
    cpus: machine.cpus,
    memoryMB: machine.memoryMB,
    ipAddress: machine.ipAddresses[0] ?? '',
    vCenterName,
    datastores: machine.datastores,
    nics: machine.nics.map(({ mac, network, ipAddresses }) => ({
      mac: mac.replaceAll('-', ':').toUpperCase(),
      network,
      ipAddress: ipAddresses[0] ?? '',
    })),
  };
}

function invalid(message: string, recommendedAction: string, target: string): DomainError {
  return new DomainError({ code: 'InvalidRequest', message, recommendedAction, target });
}

function conflict(message: string, recommendedAction: string): DomainError {
  return new DomainError({ code: 'Conflict', message, recommendedAction });
}
