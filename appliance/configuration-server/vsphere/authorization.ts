/** Roles, permissions and privileges of a vCenter or an ESXi host, as its AuthorizationManager tells and changes them. */
import { escapeXml, type XmlElement } from '../../../shared/xml.ts';
import type { VSphereClient } from './client.ts';
import { reference, type Reference } from './service-content.ts';
import { VSphereError } from './vsphere-error.ts';

/** The role that every server has and that may do everything. */
const administratorRoleId = -1;
/** The role that takes everything away. */
export const noAccessRoleId = -5;

const entitiesInCall = 100;

/** A named set of privileges. */
export interface Role {
  roleId: number;
  name: string;
  privileges: string[];
}

/** A role given to somebody on an object. */
export interface Permission {
  entity: Reference;
  principal: string;
  isGroup: boolean;
  roleId: number;
  propagates: boolean;
}

/** @throws VSphereError */
export async function listRoles(client: VSphereClient): Promise<Role[]> {
  const object = await client.read(client.service.authorizationManager, ['roleList']);
  const roles = object?.properties.get('roleList')?.children('AuthorizationRole') ?? [];
  return roles.map((role) => ({
    roleId: Number(role.childText('roleId')),
    name: role.childText('name'),
    privileges: role.children('privilege').map(({ text }) => text),
  }));
}

/** All privileges that the server knows: the administrator's. */
export function knownPrivileges(roles: readonly Role[]): string[] {
  return roles.find(({ roleId }) => roleId === administratorRoleId)?.privileges ?? [];
}

/** Makes a role. Its id is read from the list afterwards, as not every server answers it. @throws VSphereError */
export async function addRole(
  client: VSphereClient,
  name: string,
  privileges: readonly string[],
): Promise<Role> {
  await callManager(client, 'AddAuthorizationRole', `<name>${escapeXml(name)}</name>${idsOf(privileges)}`);
  const made = (await listRoles(client)).find((role) => role.name === name);
  if (made !== undefined) return made;
  throw new VSphereError('BadAnswer', `${client.address} took the role '${name}' and does not list it`);
}

/** Sets all privileges of a role. @throws VSphereError */
export async function updateRole(
  client: VSphereClient,
  role: Role,
  privileges: readonly string[],
): Promise<void> {
  const parameters = `<roleId>${role.roleId}</roleId><newName>${escapeXml(role.name)}</newName>${idsOf(privileges)}`;
  await callManager(client, 'UpdateAuthorizationRole', parameters);
}

/** What is set on an object itself, nothing inherited. @throws VSphereError */
export async function listPermissions(client: VSphereClient, entity: Reference): Promise<Permission[]> {
  const parameters = `${reference('entity', entity)}<inherited>false</inherited>`;
  return readPermissions(await callManager(client, 'RetrieveEntityPermissions', parameters), entity);
}

/** What is set on all objects that the session may see. @throws VSphereError */
export async function listAllPermissions(client: VSphereClient): Promise<Permission[]> {
  return readPermissions(await callManager(client, 'RetrieveAllPermissions', ''));
}

/** Gives somebody a role on an object; replaces the one given there before. @throws VSphereError */
export async function setPermission(client: VSphereClient, permission: Permission): Promise<void> {
  const { entity, principal, isGroup, roleId, propagates } = permission;
  const parameters = `${reference('entity', entity)}<permission><principal>${escapeXml(principal)}</principal>\
<group>${isGroup}</group><roleId>${roleId}</roleId><propagate>${propagates}</propagate></permission>`;
  await callManager(client, 'SetEntityPermissions', parameters);
}

/** Which of these privileges the session's own account lacks on each object. @throws VSphereError */
export async function findLacking(
  client: VSphereClient,
  entities: readonly Reference[],
  privileges: readonly string[],
): Promise<Map<string, string[]>> {
  const lacking = new Map<string, string[]>();
  for (let at = 0; at < entities.length; at += entitiesInCall) {
    const some = entities.slice(at, at + entitiesInCall).map((entity) => reference('entity', entity));
    const session = `<sessionId>${escapeXml(client.sessionKey)}</sessionId>`;
    const ids = privileges.map((id) => `<privId>${escapeXml(id)}</privId>`).join('');
    const answer = await callManager(client, 'HasPrivilegeOnEntities', `${some.join('')}${session}${ids}`);
    for (const result of answer.children('returnval')) {
      const refused = result
        .children('privAvailability')
        .filter((one) => one.childText('isGranted') !== 'true');
      lacking.set(
        result.childText('entity'),
        refused.map((one) => one.childText('privId')),
      );
    }
  }
  return lacking;
}

/** 'reader@vsphere.local' and 'VSPHERE.LOCAL\reader' are the same. */
export function isSamePrincipal(a: string, b: string): boolean {
  return normalPrincipal(a) === normalPrincipal(b);
}

function normalPrincipal(principal: string): string {
  const [domain, user] = principal.includes('\\') ? principal.split('\\', 2) : [];
  return (domain === undefined || user === undefined ? principal : `${user}@${domain}`).toLowerCase();
}

async function callManager(client: VSphereClient, method: string, parameters: string): Promise<XmlElement> {
  return client.call(method, client.service.authorizationManager, parameters);
}

function idsOf(privileges: readonly string[]): string {
  return privileges.map((id) => `<privIds>${escapeXml(id)}</privIds>`).join('');
}

function readPermissions(answer: XmlElement, asked?: Reference): Permission[] {
  return answer.children('returnval').map((permission) => {
    const entity = permission.child('entity');
    return {
      entity: {
        type: entity?.attribute('type') ?? asked?.type ?? '',
        moref: entity?.text ?? asked?.moref ?? '',
      },
      principal: permission.childText('principal'),
      isGroup: permission.childText('group') === 'true',
      roleId: Number(permission.childText('roleId')),
      propagates: permission.childText('propagate') === 'true',
    };
  });
}
