import { GiB } from '../bytes.ts';
import { type HealthError, healthError } from '../fabric/health-error.ts';
import { type DiscoveredDisk } from '../wire/discovery.ts';
import { type KeptMachine, unknownBiosUuid } from './machine.ts';

/**
 * Limits of the replication and of the machines it makes in Azure.
 * Source: https://learn.microsoft.com/azure/site-recovery/vmware-physical-azure-support-matrix
 */
const mostDisks = 65;
const largestOsDiskBytes = 2_048 * GiB;
const largestDataDiskBytes = 32_767 * GiB;
const sectorBytes = 512;

/** Why the machine can not be protected as it is now, each with what to do. Empty: it can. */
export function readinessErrors(kept: KeptMachine): string[] {
  return [...machineErrors(kept), ...kept.machine.disks.flatMap((disk, at) => diskErrors(disk, at === 0))];
}

/** The same as health errors; one that is off has the real service's code and words. */
export function readinessHealthErrors(kept: KeptMachine): HealthError[] {
  return readinessErrors(kept).map((message) => {
    const isOff = message === poweredOff;
    return healthError({
      errorCode: isOff ? poweredOffCode : 'MachineNotReady',
      errorMessage: isOff ? 'VM is Powered off.' : message,
      possibleCauses: isOff ? 'VM is Powered off.' : '',
      recommendedAction: isOff ? 'Power on the on-prem VM.' : '',
      errorCategory: isOff ? 'Replication' : 'None',
      entityId: kept.itemName,
      atMs: kept.vanishedAtMs ?? 0,
    });
  });
}

/** The real service's code of a machine that is off. */
export const poweredOffCode = '78145';
const poweredOff = 'The machine is not powered on. Start it, then refresh the server.';

/** Of a physical machine nothing is known before its agent tells it. */
function unknownMachineErrors({ machine }: KeptMachine): string[] {
  const address = machine.ipAddresses.join(', ');
  return [
    `No mobility agent is in touch from ${address}, or several are. Enrol the machine's agent at this configuration server, and start it with its disks.`,
  ];
}

function machineErrors(kept: KeptMachine): string[] {
  const { machine, sharesBiosUuid, vanishedAtMs } = kept;
  if (kept.isPhysical === true && machine.biosUuid === unknownBiosUuid) return unknownMachineErrors(kept);
  const errors: string[] = [];
  if (vanishedAtMs !== undefined)
    errors.push('The machine is no longer in the inventory of its vCenter server.');
  if (machine.powerState !== 'poweredOn') errors.push(poweredOff);
  if (machine.connectionState !== 'connected') {
    errors.push(`The machine is ${machine.connectionState} in vSphere. Bring its host and files back.`);
  }
  if (machine.disks.length === 0) errors.push('The machine has no disks: there is nothing to replicate.');
  if (machine.disks.length > mostDisks) {
    errors.push(`The machine has ${machine.disks.length} disks; ${mostDisks} are possible.`);
  }
  if (sharesBiosUuid) {
    errors.push(
      'Another machine has the same BIOS UUID. Give the copy a UUID of its own (uuid.bios), then refresh.',
    );
  }
  return errors;
}

function diskErrors(disk: DiscoveredDisk, isFirst: boolean): string[] {
  const errors: string[] = [];
  const largest = isFirst ? largestOsDiskBytes : largestDataDiskBytes;
  if (disk.capacityBytes === 0) errors.push(`'${disk.label}' is empty.`);
  if (disk.capacityBytes % sectorBytes !== 0)
    errors.push(`The size of '${disk.label}' is not a multiple of 512 bytes.`);
  if (disk.sectorBytes !== undefined && disk.sectorBytes !== sectorBytes)
    errors.push(`'${disk.label}' has sectors of ${disk.sectorBytes} bytes; only 512 are possible.`);
  if (disk.capacityBytes > largest) {
    errors.push(
      `'${disk.label}' has ${Math.ceil(disk.capacityBytes / GiB)} GiB; ${largest / GiB} are possible.`,
    );
  }
  if (disk.shared)
    errors.push(`'${disk.label}' is written by several machines at once; such a disk can not be replicated.`);
  return errors;
}
