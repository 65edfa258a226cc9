import { DiscoveredMachine, DiscoveryLimits } from '../../../shared/wire/discovery.ts';
import type { XmlElement } from '../../../shared/xml.ts';
import { osTypeOf, unescapeName } from './guest-os.ts';
import { addressesOf, distinct, readDisks, readNics } from './hardware.ts';
import type { ObjectContent } from './object-content.ts';
import type { Places } from './places.ts';

/** What discovery reads of a machine, and nothing more: the answer's size is the time it takes. */
export const machineProperties = [
  'name',
  'config.template',
  'config.uuid',
  'config.instanceUuid',
  'config.guestId',
  'config.guestFullName',
  'config.firmware',
  'config.hardware.numCPU',
  'config.hardware.memoryMB',
  'config.hardware.device',
  'runtime.powerState',
  'runtime.connectionState',
  'runtime.host',
  'guest.guestFamily',
  'guest.guestId',
  'guest.guestFullName',
  'guest.hostName',
  'guest.ipAddress',
  'guest.net',
  'guest.toolsRunningStatus',
  'guest.toolsVersionStatus2',
  'datastore',
  'parent',
] as const;
type MachineProperty = (typeof machineProperties)[number];

/** A machine, or why it could not be described. */
export type MachineReading =
  | { kind: 'machine'; machine: DiscoveredMachine }
  | { kind: 'template' }
  | { kind: 'leftOut'; moref: string; name: string; reason: string };

/** Describes one VirtualMachine object. */
export function readMachine(object: ObjectContent, places: Places): MachineReading {
  const text = (path: MachineProperty): string => object.properties.get(path)?.text ?? '';
  if (text('config.template') === 'true') return { kind: 'template' };
  const name = unescapeName(text('name'));
  const leftOut = (reason: string): MachineReading => ({
    kind: 'leftOut',
    moref: object.moref.slice(0, 256),
    name: name.slice(0, DiscoveryLimits.nameLength),
    reason,
  });
  const lacking = whatIsLacking(object, text('runtime.connectionState'));
  if (lacking !== undefined) return leftOut(lacking);
  const parsed = DiscoveredMachine.safeParse(describe(object, places, name));
  if (parsed.success) return { kind: 'machine', machine: parsed.data };
  const fields = distinct(parsed.error.issues.map((issue) => issue.path.join('.')));
  return leftOut(`vSphere gives values for it that are none: ${fields.slice(0, 5).join(', ')}`);
}

/** Why the object has no configuration, or undefined when it has one. */
function whatIsLacking(object: ObjectContent, connectionState: string): string | undefined {
  const refused = object.missing.find(
    ({ path, fault }) => fault === 'NoPermission' && !path.startsWith('guest'),
  );
  if (refused !== undefined) {
    const privilege = refused.privilege ?? 'System.Read';
    return `The account may not read ${refused.path} of it (privilege ${privilege})`.slice(0, 1024);
  }
  if (object.properties.has('config.uuid') && object.properties.has('config.hardware.device'))
    return undefined;
  return `vSphere has no configuration of it; its state is '${connectionState.slice(0, 64)}'`;
}

function describe(
  object: ObjectContent,
  places: Places,
  name: string,
): Record<keyof DiscoveredMachine, unknown> {
  const property = (path: MachineProperty): XmlElement | undefined => object.properties.get(path);
  const text = (path: MachineProperty): string => property(path)?.text ?? '';
  const devices = items(property('config.hardware.device'));
  const guestNics = items(property('guest.net'));
  const guestId = text('guest.guestId') || text('config.guestId');
  const host = text('runtime.host');
  const addresses = [text('guest.ipAddress'), ...guestNics.flatMap(addressesOf)].filter(Boolean);
  return {
    moref: object.moref,
    biosUuid: text('config.uuid').toLowerCase(),
    instanceUuid: text('config.instanceUuid').toLowerCase() || undefined,
    name: name.slice(0, DiscoveryLimits.nameLength),
    powerState: text('runtime.powerState'),
    connectionState: text('runtime.connectionState'),
    osType: osTypeOf(guestId, text('guest.guestFamily')),
    guestId,
    guestFullName: text('guest.guestFullName') || text('config.guestFullName'),
    firmware: text('config.firmware') || 'bios',
    cpus: Number(text('config.hardware.numCPU')),
    memoryMB: Number(text('config.hardware.memoryMB')),
    toolsState: toolsState(text('guest.toolsRunningStatus'), text('guest.toolsVersionStatus2')),
    hostName: text('guest.hostName').slice(0, DiscoveryLimits.nameLength) || undefined,
    ipAddresses: distinct(addresses).slice(0, DiscoveryLimits.ipAddresses),
    host: host === '' ? undefined : { moref: host, name: places.name(host) ?? host },
    cluster: places.clusterOf(host),
    ...pathOf(places, text('parent')),
    datastores: items(property('datastore')).map(({ text: moref }) => places.name(moref) ?? moref),
    disks: readDisks(devices),
    nics: readNics(devices, guestNics, places),
  };
}

/** The elements of an `ArrayOf…` value. */
function items(array: XmlElement | undefined): XmlElement[] {
  return array?.elements().map(({ element }) => element) ?? [];
}

function pathOf(places: Places, parent: string): Record<'datacenter' | 'folder', string | undefined> {
  const { datacenter, folder } = places.pathOf(parent);
  return { datacenter, folder };
}

function toolsState(running: string, version: string): DiscoveredMachine['toolsState'] {
  switch (running) {
    case 'guestToolsRunning':
      return 'running';
    case 'guestToolsExecutingScripts':
      return 'executingScripts';
    case 'guestToolsNotRunning':
      return version === 'guestToolsNotInstalled' ? 'notInstalled' : 'notRunning';
    default:
      return 'unknown';
  }
}
