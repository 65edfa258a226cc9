import type { Inventory, InventoryMachine } from './inventory.ts';
import { escapeName } from './names.ts';
import { leaf, reference } from './soap.ts';

const controllerKey = 1000;
const disksOfController = 15;

/** A machine's virtual devices as `config.hardware.device` has them. */
export function devicesOf(machine: InventoryMachine, inventory: Inventory): string {
  const controllers = Math.max(1, Math.ceil(machine.disks.length / disksOfController));
  return [
    device('VirtualKeyboard', 600, 'Keyboard', ''),
    ...Array.from({ length: controllers }, (_, bus) =>
      device(
        'ParaVirtualSCSIController',
        controllerKey + bus,
        `SCSI controller ${bus}`,
        leaf('busNumber', bus) + leaf('sharedBus', 'noSharing'),
      ),
    ),
    ...machine.disks.map((disk, index) => diskDevice(disk, index, { machine, inventory })),
    ...machine.nics.map((nic, index) =>
      device(
        'VirtualVmxnet3',
        4000 + index,
        `Network adapter ${index + 1}`,
        `<backing xsi:type="VirtualEthernetCardNetworkBackingInfo">${leaf('deviceName', escapeName(nic.network))}</backing>` +
          `<connectable><startConnected>true</startConnected>${leaf('connected', nic.connected)}</connectable>` +
          leaf('addressType', 'assigned') +
          leaf('macAddress', nic.mac),
      ),
    ),
  ].join('');
}

function diskDevice(
  disk: InventoryMachine['disks'][number],
  index: number,
  { machine, inventory }: { machine: InventoryMachine; inventory: Inventory },
): string {
  const suffix = index === 0 ? '' : `_${index}`;
  // Slashes in a machine's name never reach its folder's name.
  const folder = machine.name.replaceAll(/[/\\%]/gu, '_');
  const unit = index % disksOfController;
  return device(
    'VirtualDisk',
    disk.key,
    disk.label,
    `<backing xsi:type="VirtualDiskFlatVer2BackingInfo">` +
      leaf('fileName', `[${inventory.datastore}] ${folder}/${folder}${suffix}.vmdk`) +
      reference('datastore', 'Datastore', 'datastore-1') +
      leaf('diskMode', 'persistent') +
      leaf('thinProvisioned', true) +
      (disk.uuid === undefined ? '' : leaf('uuid', disk.uuid)) +
      `<sharing>sharingNone</sharing></backing>` +
      leaf('controllerKey', controllerKey + Math.floor(index / disksOfController)) +
      // Unit 7 is the controller itself.
      leaf('unitNumber', unit < 7 ? unit : unit + 1) +
      leaf('capacityInKB', Math.floor(disk.capacityBytes / 1024)) +
      leaf('capacityInBytes', disk.capacityBytes),
  );
}

function device(type: string, key: number, label: string, rest: string): string {
  return `<VirtualDevice xsi:type="${type}">${leaf('key', key)}\
<deviceInfo xsi:type="Description">${leaf('label', label)}${leaf('summary', label)}</deviceInfo>${rest}</VirtualDevice>`;
}
