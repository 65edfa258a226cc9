import { DiscoveryLimits, type DiscoveredDisk, type DiscoveredNic } from '../../../shared/wire/discovery.ts';
import type { XmlElement } from '../../../shared/xml.ts';
import { unescapeName } from './guest-os.ts';
import type { Places } from './places.ts';

/** Reads a machine's disks out of its virtual devices, in the order of their keys. */
export function readDisks(devices: readonly XmlElement[]): DiscoveredDisk[] {
  const byKey = new Map(devices.map((device) => [integer(device, 'key'), device]));
  const taken = new Set<string>();
  return devices
    .filter((device) => device.xsiType === 'VirtualDisk')
    .map((device) => readDisk(device, byKey))
    .sort((a, b) => a.key - b.key)
    .map((disk) => {
      const diskId = taken.has(disk.diskId) ? `disk-${disk.key}` : disk.diskId;
      taken.add(diskId);
      return { ...disk, diskId };
    });
}

function readDisk(device: XmlElement, byKey: ReadonlyMap<number, XmlElement>): DiscoveredDisk {
  const key = integer(device, 'key');
  const backing = device.child('backing');
  const uuid = textOf(backing, 'uuid') || textOf(backing, 'lunUuid');
  const controllerKey = integer(device, 'controllerKey');
  const controller = byKey.get(controllerKey);
  const unit = device.child('unitNumber');
  return {
    diskId: uuid || `disk-${key}`,
    key,
    label: labelOf(device),
    capacityBytes: integer(device, 'capacityInBytes') || integer(device, 'capacityInKB') * 1024,
    backingFile: textOf(backing, 'fileName'),
    ...(uuid === '' ? {} : { backingUuid: uuid }),
    backing: backingKind(backing?.xsiType ?? ''),
    shared:
      textOf(backing, 'sharing') === 'sharingMultiWriter' ||
      /^(physical|virtual)Sharing$/u.test(textOf(controller, 'sharedBus')),
    controller: {
      key: controllerKey,
      label: labelOf(controller),
      type: controller?.xsiType ?? '',
      ...(unit === undefined ? {} : { unitNumber: integer(device, 'unitNumber') }),
    },
  };
}

function backingKind(type: string): DiscoveredDisk['backing'] {
  if (/Raw/u.test(type)) return 'rdm';
  return /Flat|Sparse/u.test(type) ? 'vmdk' : 'other';
}

/** Reads a machine's network cards; `guestNics` is what VMware Tools says of them. */
export function readNics(
  devices: readonly XmlElement[],
  guestNics: readonly XmlElement[],
  places: Places,
): DiscoveredNic[] {
  return devices
    .filter((device) => device.child('macAddress') !== undefined)
    .map((device) => {
      const key = integer(device, 'key');
      const mac = textOf(device, 'macAddress').toLowerCase();
      const seen = guestNics.filter(
        (nic) => integer(nic, 'deviceConfigId') === key || textOf(nic, 'macAddress').toLowerCase() === mac,
      );
      return {
        key,
        label: labelOf(device),
        mac,
        network: networkOf(device, seen, places),
        connected: textOf(device.child('connectable'), 'connected') === 'true',
        ipAddresses: distinct(seen.flatMap(addressesOf)).slice(0, DiscoveryLimits.ipAddresses),
      };
    });
}

function networkOf(device: XmlElement, seen: readonly XmlElement[], places: Places): string {
  const backing = device.child('backing');
  // A distributed port group's key is its object's id.
  const group = textOf(backing?.child('port'), 'portgroupKey');
  const name =
    places.name(group) ||
    textOf(backing, 'deviceName') ||
    textOf(seen[0], 'network') ||
    group ||
    textOf(backing, 'opaqueNetworkId');
  return unescapeName(name).slice(0, DiscoveryLimits.nameLength);
}

/** The addresses of one card as Tools reports them. */
export function addressesOf(nic: XmlElement): string[] {
  const configured = nic.child('ipConfig')?.children('ipAddress') ?? [];
  return [
    ...configured.map((address) => textOf(address, 'ipAddress')),
    ...nic.children('ipAddress').map((address) => address.text),
  ].filter((address) => address !== '');
}

export function distinct(values: readonly string[]): string[] {
  return [...new Set(values)];
}

/** The text of a child, or '' when there is none. */
function textOf(parent: XmlElement | undefined, name: string): string {
  return parent?.childText(name) ?? '';
}

/** A child's whole number; 0 when there is none, NaN when it is not one, which the schema refuses. */
function integer(parent: XmlElement, name: string): number {
  const text = textOf(parent, name);
  return /^-?\d{0,16}$/u.test(text) ? Number(text) : Number.NaN;
}

function labelOf(device: XmlElement | undefined): string {
  return textOf(device?.child('deviceInfo'), 'label').slice(0, DiscoveryLimits.nameLength);
}
