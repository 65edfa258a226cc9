/** What lies around the machines of a local vCenter: one datacenter, one host, one datastore, folders. */
import { createHash } from 'node:crypto';
import { escapeXml } from '../../shared/xml.ts';
import type { Inventory } from './inventory.ts';
import { escapeName } from './names.ts';
import type { VCenterObject } from './objects.ts';

const machineFolder = 'group-v3';
const hostFolder = 'group-h4';

/** The id of a folder by its path below the datacenter's; the same whenever it is asked for. */
export function folderMoref(path: string | undefined): string {
  if (path === undefined) return machineFolder;
  return `group-v${createHash('sha256').update(path).digest().readUIntBE(0, 6)}`;
}

/** Whether an object of a type is one of the wanted type: a cluster is a compute resource. */
export function isKindOf(type: string, wanted: string): boolean {
  return type === wanted || (type === 'ClusterComputeResource' && wanted === 'ComputeResource');
}

/** Whether objects of that type, which are no machines, have the property. */
export function isPlaceProperty(type: string, path: string): boolean {
  if (path === 'vm') return type === 'HostSystem' || type === 'Datastore';
  return path === 'name' || path === 'parent';
}

/** All objects that machines lie in or run on. @param vm the value of `vm`: references to the machines */
export function placesOf(inventory: Inventory, vm: string): VCenterObject[] {
  const { host, cluster, datastore, datacenter } = inventory;
  const isAlone = cluster === undefined;
  const compute = isAlone
    ? place('ComputeResource', 'domain-s1', { name: host, parent: ['Folder', hostFolder] })
    : place('ClusterComputeResource', 'domain-c1', { name: cluster, parent: ['Folder', hostFolder] });
  return [
    place('Datacenter', 'datacenter-1', { name: datacenter, parent: ['Folder', 'group-d1'] }),
    place('Folder', machineFolder, { name: 'vm', parent: ['Datacenter', 'datacenter-1'] }),
    place('Folder', hostFolder, { name: 'host', parent: ['Datacenter', 'datacenter-1'] }),
    ...foldersOf(inventory),
    compute,
    place('HostSystem', 'host-1', { name: host, parent: [compute.type, compute.moref], vm }),
    place('Datastore', 'datastore-1', { name: datastore, vm }),
  ];
}

function foldersOf({ machines }: Inventory): VCenterObject[] {
  const paths = new Set<string>();
  for (const { folder } of machines) {
    const parts = folder?.split('/') ?? [];
    parts.forEach((_, index) => paths.add(parts.slice(0, index + 1).join('/')));
  }
  return [...paths].map((path) => {
    const parts = path.split('/');
    const above = parts.length === 1 ? undefined : parts.slice(0, -1).join('/');
    return place('Folder', folderMoref(path), {
      name: parts.at(-1) ?? '',
      parent: ['Folder', folderMoref(above)],
    });
  });
}

/** An object with a name and a place. */
export function place(
  type: string,
  moref: string,
  known: { name: string; parent?: [type: string, moref: string]; vm?: string },
): VCenterObject {
  const properties: Record<string, string | undefined> = {
    name: `<val xsi:type="xsd:string">${escapeXml(escapeName(known.name))}</val>`,
    parent: known.parent === undefined ? undefined : referenceValue(...known.parent),
    vm: known.vm,
  };
  return { type, moref, denied: false, property: (path) => properties[path] };
}

/** A property's value that refers to an object. */
export function referenceValue(type: string, moref: string): string {
  return `<val type="${type}" xsi:type="ManagedObjectReference">${escapeXml(moref)}</val>`;
}
