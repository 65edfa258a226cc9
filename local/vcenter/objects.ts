import { createHash } from 'node:crypto';
import { devicesOf } from './devices.ts';
import type { Inventory, InventoryMachine } from './inventory.ts';
import { escapeName } from './names.ts';
import { folderMoref, isKindOf, isPlaceProperty, place, placesOf, referenceValue } from './places.ts';
import { leaf } from './soap.ts';
import { escapeXml } from '../../shared/xml.ts';

/** A managed object as property collectors see it. */
export interface VCenterObject {
  type: string;
  moref: string;
  /** The account may not read it past its name. */
  denied: boolean;
  /** The `val` element of a property, or undefined for one that is not set now. */
  property(path: string): string | undefined;
}

type Value = (machine: InventoryMachine, inventory: Inventory) => string | undefined;

const text = (value: string | undefined): string | undefined =>
  value === undefined ? undefined : val('xsd:string', escapeXml(value));

const whileRunning = (value: Value): Value => {
  return (machine, inventory) => (hasTools(machine) ? value(machine, inventory) : undefined);
};

/** What can be read of a machine. */
const machineProperties: Readonly<Record<string, Value>> = {
  name: ({ name }) => text(escapeName(name)),
  'config.name': ({ name }) => text(escapeName(name)),
  'config.template': ({ template }) => val('xsd:boolean', String(template)),
  'config.uuid': ({ biosUuid }) => text(biosUuid),
  'config.instanceUuid': ({ instanceUuid }) => text(instanceUuid),
  'config.guestId': ({ guestId }) => text(guestId),
  'config.guestFullName': ({ guestId }) => text(guestId),
  'config.firmware': ({ firmware }) => text(firmware),
  'config.hardware.numCPU': ({ cpus }) => val('xsd:int', String(cpus)),
  'config.hardware.memoryMB': ({ memoryMB }) => val('xsd:int', String(memoryMB)),
  'config.hardware.device': (machine, inventory) =>
    val('ArrayOfVirtualDevice', devicesOf(machine, inventory)),
  'runtime.powerState': ({ powerState }) => val('VirtualMachinePowerState', powerState),
  'runtime.connectionState': ({ connectionState }) => val('VirtualMachineConnectionState', connectionState),
  'runtime.host': () => `<val type="HostSystem" xsi:type="ManagedObjectReference">host-1</val>`,
  'guest.toolsRunningStatus': (machine) =>
    text(hasTools(machine) ? 'guestToolsRunning' : 'guestToolsNotRunning'),
  'guest.toolsVersionStatus2': ({ hostName }) =>
    text(hostName === undefined ? 'guestToolsNotInstalled' : 'guestToolsCurrent'),
  'guest.guestFamily': whileRunning(({ guestId }) => text(familyOf(guestId))),
  'guest.guestId': whileRunning(({ guestId }) => text(guestId)),
  'guest.guestFullName': whileRunning(({ guestId }) => text(guestId)),
  'guest.hostName': whileRunning(({ hostName }) => text(hostName)),
  'guest.ipAddress': whileRunning(({ nics }) => text(nics.flatMap((nic) => nic.ipAddresses)[0])),
  'guest.net': whileRunning((machine) => val('ArrayOfGuestNicInfo', guestNics(machine))),
  'config.changeVersion': (machine) => text(changeVersionOf(machine)),
  parent: ({ folder }) => referenceValue('Folder', folderMoref(folder)),
  datastore: () =>
    val(
      'ArrayOfManagedObjectReference',
      '<ManagedObjectReference type="Datastore" xsi:type="ManagedObjectReference">datastore-1</ManagedObjectReference>',
    ),
};

/** Properties without which vSphere lists a machine whose files or host are away. */
const configured = /^(config|guest)\./u;

/** Whether any object of the type has a property of that path. */
export function isProperty(type: string, path: string): boolean {
  if (type === 'VirtualMachine') return Object.hasOwn(machineProperties, path);
  if (type === 'AuthorizationManager') return path === 'roleList';
  return isPlaceProperty(type, path);
}

/** Whether a user is the inventory's administrator, who sees everything. */
export function isAdministrator(user: string, { administrator }: Inventory): boolean {
  return administrator?.user === user;
}

/** All objects of the types, as far as the user may see them. */
export function objectsOf(inventory: Inventory, types: readonly string[], user: string): VCenterObject[] {
  const objects: VCenterObject[] = [];
  const all = isAdministrator(user, inventory);
  // vSphere names machines there that the user may not see
  const vm = val('ArrayOfManagedObjectReference', inventory.machines.map(machineReference).join(''));
  objects.push(
    ...placesOf(inventory, vm).filter(({ type }) => types.some((wanted) => isKindOf(type, wanted))),
  );
  if (types.includes('Network')) {
    const names = new Set(inventory.machines.flatMap(({ nics }) => nics.map(({ network }) => network)));
    [...names].forEach((name, index) => objects.push(place('Network', `network-${index + 1}`, { name })));
  }
  if (types.includes('VirtualMachine')) {
    const visible = inventory.machines.filter(({ access }) => all || access !== 'none');
    for (const machine of visible) {
      objects.push({ ...machineObject(machine, inventory), denied: !all && machine.access === 'list' });
    }
  }
  return objects;
}

function machineReference({ moref }: InventoryMachine): string {
  return `<ManagedObjectReference type="VirtualMachine" xsi:type="ManagedObjectReference">${escapeXml(moref)}</ManagedObjectReference>`;
}

function machineObject(machine: InventoryMachine, inventory: Inventory): Omit<VCenterObject, 'denied'> {
  const isAway = machine.connectionState !== 'connected' && machine.connectionState !== 'disconnected';
  return {
    type: 'VirtualMachine',
    moref: machine.moref,
    property: (path) =>
      isAway && configured.test(path) ? undefined : machineProperties[path]?.(machine, inventory),
  };
}

/** Changes with the machine's configuration, as vSphere's does. */
function changeVersionOf(machine: InventoryMachine): string {
  return createHash('sha256').update(JSON.stringify(machine)).digest('hex').slice(0, 16);
}

function hasTools({ powerState, hostName }: InventoryMachine): boolean {
  return powerState === 'poweredOn' && hostName !== undefined;
}

function familyOf(guestId: string): string {
  if (guestId.startsWith('win')) return 'windowsGuest';
  return /linux|ubuntu|debian|rhel|centos|sles|fedora/iu.test(guestId) ? 'linuxGuest' : 'otherGuestFamily';
}

function guestNics({ nics }: InventoryMachine): string {
  return nics
    .map(
      (nic, index) =>
        `<GuestNicInfo>${leaf('network', escapeName(nic.network))}\
${nic.ipAddresses.map((address) => leaf('ipAddress', address)).join('')}\
${leaf('macAddress', nic.mac)}${leaf('connected', nic.connected)}${leaf('deviceConfigId', 4000 + index)}</GuestNicInfo>`,
    )
    .join('');
}

function val(type: string, content: string): string {
  return `<val xsi:type="${type}">${content}</val>`;
}
