/** The AuthorizationManager of a local vCenter: roles and permissions, kept in memory as long as the server runs. */
import type { XmlElement } from '../../shared/xml.ts';
import type { Inventory } from './inventory.ts';
import { allPrivileges } from './privileges.ts';
import { leaf, reference, SoapFault, type SoapCall } from './soap.ts';

interface Role {
  roleId: number;
  name: string;
  privileges: readonly string[];
}

interface Permission {
  type: string;
  moref: string;
  principal: string;
  group: boolean;
  roleId: number;
  propagate: boolean;
}

/** Who asks. */
export interface Caller {
  sessionId: string;
  user: string;
  isAdministrator: boolean;
}

const systemPrivileges = ['System.Anonymous', 'System.Read', 'System.View'];
const noAccess = -5;
const firstOwnRole = 11;

/** Roles and permissions of one server. */
export class Authorization {
  readonly #roles: Role[] = [
    { roleId: -1, name: 'Admin', privileges: allPrivileges },
    { roleId: -2, name: 'ReadOnly', privileges: systemPrivileges },
    { roleId: noAccess, name: 'NoAccess', privileges: [] },
  ];
  #permissions: Permission[] = [];
  #nextRole = firstOwnRole;

  /** The `roleList` property's content. */
  roleList(): string {
    return this.#roles
      .map(
        ({ roleId, name, privileges }) =>
          `<AuthorizationRole>${leaf('roleId', roleId)}${leaf('system', roleId < 0)}${leaf('name', name)}\
<info>${leaf('label', name)}${leaf('summary', name)}</info>${privileges.map((id) => leaf('privilege', id)).join('')}</AuthorizationRole>`,
      )
      .join('');
  }

  /** Runs one of the manager's methods. @throws SoapFault */
  run({ method, parameters }: SoapCall, caller: Caller, inventory: Inventory): string {
    switch (method) {
      case 'RetrieveEntityPermissions':
        return this.#permissionsOn(parameters.childText('entity'));
      case 'HasPrivilegeOnEntities':
        return this.#hasPrivileges(parameters, caller, inventory);
      case 'RetrieveAllPermissions':
        return this.#allPermissions(caller, inventory);
      case 'AddAuthorizationRole':
        requireAdministrator(caller, 'Authorization.ModifyRoles');
        return this.#addRole(parameters);
      case 'UpdateAuthorizationRole':
        requireAdministrator(caller, 'Authorization.ModifyRoles');
        return this.#updateRole(parameters);
      case 'SetEntityPermissions':
        requireAdministrator(caller, 'Authorization.ModifyPermissions');
        return this.#setPermissions(parameters);
      default:
        throw new SoapFault('NotSupported', `The local vCenter does not know the method ${method}`);
    }
  }

  #addRole(parameters: XmlElement): string {
    const name = parameters.childText('name');
    if (this.#roles.some((role) => role.name === name)) {
      throw new SoapFault('AlreadyExists', `The role '${name}' exists`, leaf('name', name));
    }
    const roleId = this.#nextRole;
    this.#nextRole += 1;
    this.#roles.push({ roleId, name, privileges: privilegesIn(parameters) });
    return leaf('returnval', roleId);
  }

  #updateRole(parameters: XmlElement): string {
    const index = this.#roles.findIndex(({ roleId }) => roleId === Number(parameters.childText('roleId')));
    const role = this.#roles[index];
    if (role === undefined || role.roleId < 0) throw new SoapFault('NotFound', 'There is no role of that id');
    const name = parameters.childText('newName');
    this.#roles[index] = { ...role, name, privileges: privilegesIn(parameters) };
    return '';
  }

  /** Replaces what the same principal had on the object, and leaves the others', as vSphere does. */
  #setPermissions(parameters: XmlElement): string {
    const entity = parameters.child('entity');
    const moref = entity?.text ?? '';
    for (const permission of parameters.children('permission')) {
      const principal = permission.childText('principal');
      const roleId = Number(permission.childText('roleId'));
      if (!this.#roles.some((role) => role.roleId === roleId)) {
        throw new SoapFault('NotFound', 'There is no role of that id');
      }
      this.#permissions = this.#permissions.filter(
        (one) => one.moref !== moref || !isSamePrincipal(one.principal, principal),
      );
      this.#permissions.push({
        type: entity?.attribute('type') ?? '',
        moref,
        principal,
        group: permission.childText('group') === 'true',
        roleId,
        propagate: permission.childText('propagate') === 'true',
      });
    }
    return '';
  }

  #permissionsOn(moref: string): string {
    return this.#permissions
      .filter((one) => one.moref === moref)
      .map(permissionXml)
      .join('');
  }

  /** The inventory's machines without access show as what makes them so: No access on the machine itself. */
  #allPermissions(caller: Caller, inventory: Inventory): string {
    const hidden = caller.isAdministrator ? inventory.machines.filter(({ access }) => access === 'none') : [];
    const ofMachines = hidden.map(({ moref }) => ({
      type: 'VirtualMachine',
      moref,
      principal: inventory.account.user,
      group: false,
      roleId: noAccess,
      propagate: true,
    }));
    return [...this.#permissions, ...ofMachines].map(permissionXml).join('');
  }

  #hasPrivileges(parameters: XmlElement, caller: Caller, inventory: Inventory): string {
    if (parameters.childText('sessionId') !== caller.sessionId) {
      throw new SoapFault(
        'InvalidArgument',
        'The session is not known',
        leaf('invalidProperty', 'sessionId'),
      );
    }
    const asked = parameters.children('privId').map((id) => id.text);
    return parameters
      .children('entity')
      .map((entity) => {
        const type = entity.attribute('type') ?? '';
        const has = this.#privilegesOn(entity.text, caller, inventory);
        const availability = asked.map(
          (id) =>
            `<privAvailability>${leaf('privId', id)}${leaf('isGranted', has.has(id))}</privAvailability>`,
        );
        return `<returnval>${reference('entity', type, entity.text)}${availability.join('')}</returnval>`;
      })
      .join('');
  }

  #privilegesOn(moref: string, caller: Caller, inventory: Inventory): Set<string> {
    if (caller.isAdministrator) return new Set(allPrivileges);
    const machine = inventory.machines.find((one) => one.moref === moref);
    if (machine?.access === 'none') return new Set();
    if (machine?.access === 'list') return new Set(['System.Anonymous', 'System.View']);
    const mine = this.#permissions.filter(({ principal }) => isSamePrincipal(principal, caller.user));
    const own = mine.find((one) => one.moref === moref);
    // there is one datacenter, and everything else lies below it
    const inherited = mine.find(({ type, propagate }) => type === 'Datacenter' && propagate);
    const role = this.#roles.find(({ roleId }) => roleId === (own ?? inherited)?.roleId);
    return new Set([...systemPrivileges, ...(role?.privileges ?? [])]);
  }
}

function permissionXml({ type, moref, principal, group, roleId, propagate }: Permission): string {
  return `<returnval>${reference('entity', type, moref)}${leaf('principal', principal)}${leaf('group', group)}\
${leaf('roleId', roleId)}${leaf('propagate', propagate)}</returnval>`;
}

function requireAdministrator({ isAdministrator }: Caller, privilege: string): void {
  if (isAdministrator) return;
  const fields = reference('object', 'Folder', 'group-d1') + leaf('privilegeId', privilege);
  throw new SoapFault('NoPermission', 'Permission to perform this operation was denied.', fields);
}

/** @throws SoapFault for an id that the server does not have. */
function privilegesIn(parameters: XmlElement): string[] {
  const ids = parameters.children('privIds').map((id) => id.text);
  const unknown = ids.find((id) => !allPrivileges.includes(id));
  if (unknown === undefined) return [...new Set([...systemPrivileges, ...ids])];
  throw new SoapFault('InvalidArgument', `${unknown} is no privilege`, leaf('invalidProperty', 'privIds'));
}

/** 'reader@vsphere.local' and 'VSPHERE.LOCAL\reader' are the same. */
function isSamePrincipal(a: string, b: string): boolean {
  return normalPrincipal(a) === normalPrincipal(b);
}

function normalPrincipal(principal: string): string {
  return principal
    .replace(/^([^\\]+)\\(.+)$/u, (_, domain: string, user: string) => `${user}@${domain}`)
    .toLowerCase();
}
