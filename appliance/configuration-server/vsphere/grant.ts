import { DomainError } from '../../../shared/fault.ts';
import type { VCenterGrant } from '../../../shared/wire/vcenter-privileges.ts';
import {
  addRole,
  isSamePrincipal,
  knownPrivileges,
  listPermissions,
  listRoles,
  setPermission,
  updateRole,
  type Role,
} from './authorization.ts';
import type { VSphereClient } from './client.ts';
import { unescapeName } from './guest-os.ts';
import { resolvePrivileges, roleName } from './required-privileges.ts';
import type { Reference } from './service-content.ts';

/** Who gets the role, and where. */
export interface GrantOptions {
  /** As the account logs in: 'reader@vsphere.local'. */
  principal: string;
  /** Name of the datacenter; may be left out where there is one. */
  datacenter?: string | undefined;
  /** Gives the role although the account has another one there, which it loses by that. */
  replaces: boolean;
}

/**
 * Gives an account the role Azure_Site_Recovery on a datacenter and everything below it. Makes the role where it is
 * missing and adds what it lacks. May be repeated: what is so already is left alone.
 *
 * @param client logged in as somebody who may change roles and permissions
 * @throws DomainError ResourceNotFound for the datacenter, Conflict when the account has another role there; VSphereError.
 */
export async function grantRole(client: VSphereClient, options: GrantOptions): Promise<VCenterGrant> {
  const datacenter = await findDatacenter(client, options.datacenter);
  const { entity, name } = datacenter;
  const { principal } = options;
  const given = (await listPermissions(client, entity)).filter((one) =>
    isSamePrincipal(one.principal, principal),
  );
  const roles = await listRoles(client);
  const other = given.find(({ roleId }) => nameOf(roles, roleId) !== roleName);
  if (other !== undefined && !options.replaces)
    throw hasOtherRole(options, name, nameOf(roles, other.roleId));
  const { role, ...changes } = await ensureRole(client, roles);
  const isGiven = given.some(({ roleId, propagates }) => roleId === role.roleId && propagates);
  if (!isGiven) {
    await setPermission(client, { entity, principal, isGroup: false, roleId: role.roleId, propagates: true });
  }
  return {
    fingerprint: client.fingerprint,
    role: roleName,
    ...changes,
    datacenter: name,
    principal,
    permission: isGiven ? 'unchanged' : 'given',
    ...(other === undefined ? {} : { replacedRole: nameOf(roles, other.roleId) }),
  };
}

type RoleChanges = Pick<VCenterGrant, 'roleChange' | 'addedPrivileges' | 'unknownPrivileges'>;

async function ensureRole(
  client: VSphereClient,
  roles: readonly Role[],
): Promise<RoleChanges & { role: Role }> {
  const { wanted, unknown: unknownPrivileges } = resolvePrivileges(knownPrivileges(roles));
  const known = roles.find(({ name }) => name === roleName);
  if (known === undefined) {
    const role = await addRole(client, roleName, wanted);
    return { role, roleChange: 'made', addedPrivileges: wanted, unknownPrivileges };
  }
  const has = new Set(known.privileges);
  const addedPrivileges = wanted.filter((id) => !has.has(id));
  // what somebody added to the role by hand stays in it
  if (addedPrivileges.length > 0) await updateRole(client, known, [...known.privileges, ...addedPrivileges]);
  const roleChange = addedPrivileges.length > 0 ? 'completed' : 'unchanged';
  return { role: known, roleChange, addedPrivileges, unknownPrivileges };
}

interface Datacenter {
  entity: Reference;
  name: string;
}

async function findDatacenter(client: VSphereClient, wanted: string | undefined): Promise<Datacenter> {
  const all: Datacenter[] = [];
  await client.collect({ Datacenter: ['name'] }, ({ type, moref, properties }) => {
    all.push({ entity: { type, moref }, name: unescapeName(properties.get('name')?.text ?? '') });
  });
  const [found, another] = wanted === undefined ? all : all.filter(({ name }) => name === wanted);
  if (found !== undefined && another === undefined) return found;
  const names = all.map(({ name }) => `'${name}'`).join(', ') || 'none';
  throw new DomainError({
    code: found === undefined ? 'ResourceNotFound' : 'InvalidRequest',
    message: (found === undefined
      ? `${client.address} has no datacenter '${wanted ?? ''}'; it has ${names}.`
      : `${client.address} has several datacenters of that description: ${names}.`
    ).slice(0, 4_000),
    target: 'datacenter',
    recommendedAction: 'Name the datacenter with --datacenter.',
  });
}

function nameOf(roles: readonly Role[], roleId: number): string {
  return roles.find((role) => role.roleId === roleId)?.name ?? `role ${roleId}`;
}

function hasOtherRole({ principal }: GrantOptions, datacenter: string, role: string): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: `${principal} has the role '${role}' on the datacenter '${datacenter}', which it would lose.`,
    target: principal,
    recommendedAction: 'Give the role to an account of its own, or repeat with --replace.',
  });
}
