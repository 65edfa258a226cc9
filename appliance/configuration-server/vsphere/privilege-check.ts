import type { VCenterPrivileges } from '../../../shared/wire/vcenter-privileges.ts';
import {
  findLacking,
  isSamePrincipal,
  knownPrivileges,
  listAllPermissions,
  listRoles,
  noAccessRoleId,
} from './authorization.ts';
import type { VSphereClient } from './client.ts';
import { unescapeName } from './guest-os.ts';
import type { ObjectContent } from './object-content.ts';
import {
  concerns,
  discoveryPrivileges,
  fullCyclePrivileges,
  resolvePrivileges,
} from './required-privileges.ts';

type InventoryObject = VCenterPrivileges['hidden'][number];
type Lacking = VCenterPrivileges['discovery'];

const namedObjects = 100;
const listedObjects = 1_000;
const types = ['Datacenter', 'VirtualMachine', 'Datastore', 'Network'];

/** What a session sees of a vCenter's inventory. */
interface Sight {
  objects: InventoryObject[];
  /** Ids of machines that hosts and datastores name, seen or not. */
  mentioned: Set<string>;
  unreadable: InventoryObject[];
}

/**
 * Finds out what an account may do, by asking the server as that account, and, where an administrator's session is given,
 * what is hidden from it.
 *
 * @throws VSphereError
 */
export async function checkPrivileges(
  client: VSphereClient,
  principal: string,
  administrator?: VSphereClient,
): Promise<VCenterPrivileges> {
  const sight = await look(client);
  const full = await fullCycleOf(administrator ?? client);
  const lacking = await findAllLacking(client, sight.objects, full);
  const all = administrator === undefined ? undefined : await look(administrator);
  return {
    fingerprint: client.fingerprint,
    product: client.about.product,
    principal,
    machines: sight.objects.filter(isMachine).length,
    discovery: lacking.filter(({ privilege }) => isForDiscovery(privilege)),
    fullCycle: lacking.filter(({ privilege }) => !isForDiscovery(privilege)),
    unreadable: sight.unreadable.slice(0, listedObjects),
    hidden: hiddenFrom(sight, all).slice(0, listedObjects),
    noAccess: await findNoAccess(administrator, principal, all),
    asAdministrator: administrator !== undefined,
  };
}

async function look(client: VSphereClient): Promise<Sight> {
  const sight: Sight = { objects: [], mentioned: new Set(), unreadable: [] };
  const names = Object.fromEntries(
    types.map((type) => [type, type === 'VirtualMachine' ? machinePaths : ['name']]),
  );
  await client.collect(names, (object) => {
    const found = inventoryObject(object);
    sight.objects.push(found);
    if (object.missing.some(({ fault }) => fault === 'NoPermission')) sight.unreadable.push(found);
  });
  await client.collect({ HostSystem: ['vm'], Datastore: ['vm'] }, ({ properties }) => {
    for (const { element } of properties.get('vm')?.elements() ?? []) sight.mentioned.add(element.text);
  });
  return sight;
}

// a property that System.Read is needed for: without it the machine can't be described
const machinePaths = ['name', 'config.uuid'];

function inventoryObject({ type, moref, properties }: ObjectContent): InventoryObject {
  return { type, moref, name: unescapeName(properties.get('name')?.text ?? '') };
}

/** The tutorial's privileges as far as the server has them; the list itself where the account may not read the roles. */
async function fullCycleOf(client: VSphereClient): Promise<string[]> {
  const known = knownPrivileges(await listRoles(client));
  return known.length === 0
    ? fullCyclePrivileges.filter((id) => !id.endsWith('*'))
    : resolvePrivileges(known).wanted;
}

async function findAllLacking(
  client: VSphereClient,
  objects: readonly InventoryObject[],
  privileges: readonly string[],
): Promise<Lacking> {
  const found = new Map<string, { count: number; objects: InventoryObject[] }>();
  for (const type of types) {
    const some = objects.filter((object) => kindOf(object.type) === type);
    const asked = privileges.filter((privilege) => concerns(privilege, type));
    const lacking = await findLacking(client, some, asked);
    for (const object of some) {
      for (const privilege of lacking.get(object.moref) ?? []) {
        const entry = found.get(privilege) ?? { count: 0, objects: [] };
        entry.count += 1;
        if (entry.objects.length < namedObjects) entry.objects.push(object);
        found.set(privilege, entry);
      }
    }
  }
  return [...found].map(([privilege, entry]) => ({ privilege, ...entry }));
}

/** What an administrator sees beyond the account; without one, what the account itself hears of and can't see. */
function hiddenFrom(sight: Sight, all: Sight | undefined): InventoryObject[] {
  const seen = new Set(sight.objects.map(({ moref }) => moref));
  if (all !== undefined) return all.objects.filter((object) => isMachine(object) && !seen.has(object.moref));
  return [...sight.mentioned]
    .filter((moref) => !seen.has(moref))
    .map((moref) => ({ type: 'VirtualMachine', moref, name: '' }));
}

async function findNoAccess(
  administrator: VSphereClient | undefined,
  principal: string,
  all: Sight | undefined,
): Promise<InventoryObject[]> {
  if (administrator === undefined) return [];
  const names = new Map(all?.objects.map(({ moref, name }) => [moref, name]));
  const permissions = await listAllPermissions(administrator);
  return permissions
    .filter((one) => one.roleId === noAccessRoleId && isSamePrincipal(one.principal, principal))
    .map(({ entity }) => ({ ...entity, name: names.get(entity.moref) ?? '' }))
    .slice(0, listedObjects);
}

/** Distributed port groups and opaque networks are networks too. */
function kindOf(type: string): string {
  return types.includes(type) ? type : 'Network';
}

function isMachine({ type }: InventoryObject): boolean {
  return type === 'VirtualMachine';
}

function isForDiscovery(privilege: string): boolean {
  return discoveryPrivileges.some((id) => id === privilege);
}
