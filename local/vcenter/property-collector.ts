import { randomUUID } from 'node:crypto';
import type { XmlElement } from '../../shared/xml.ts';
import type { Authorization } from './authorization.ts';
import type { Inventory } from './inventory.ts';
import { isProperty, objectsOf, type VCenterObject } from './objects.ts';
import { isKindOf } from './places.ts';
import type { Pages, Session } from './sessions.ts';
import { leaf, reference, SoapFault } from './soap.ts';

const maxRetrievals = 100;
const defaultPageSize = 1000;

/** Answers RetrievePropertiesEx over one container view, or for one object. */
export function retrieve(
  parameters: XmlElement,
  session: Session,
  { inventory, authorization }: { inventory: Inventory; authorization: Authorization },
): string {
  const specification = parameters.child('specSet');
  const paths = readPaths(specification);
  const asked = specification?.child('objectSet')?.child('obj');
  const size = pageSize(parameters.child('options'));
  if (asked?.attribute('type') === 'AuthorizationManager') {
    return page(session, { rest: [managerObject(asked.text, authorization)], paths, size });
  }
  const wanted =
    asked?.attribute('type') === 'ContainerView'
      ? objectsOf(inventory, viewTypes(asked.text, session), session.user)
      : [findObject(asked, { inventory, session })];
  return page(session, { rest: wanted, paths, size });
}

/** Answers ContinueRetrievePropertiesEx. A token is good once. */
export function continueRetrieving(parameters: XmlElement, session: Session): string {
  const token = parameters.childText('token');
  const pages = session.pages.get(token);
  if (pages === undefined) {
    throw new SoapFault('InvalidProperty', 'The token is not known', leaf('name', 'token'));
  }
  session.pages.delete(token);
  return page(session, pages);
}

/** The properties that a specification wants, by type. @throws SoapFault for one that there is not */
export function readPaths(specification: XmlElement | undefined): Map<string, string[]> {
  const paths = new Map<string, string[]>();
  for (const propSet of specification?.children('propSet') ?? []) {
    const list = propSet.children('pathSet').map((path) => path.text);
    paths.set(propSet.childText('type'), list);
  }
  refuseUnknown(paths);
  return paths;
}

function refuseUnknown(paths: ReadonlyMap<string, readonly string[]>): void {
  for (const [type, list] of paths) {
    const unknown = list.find((path) => !isProperty(type, path));
    if (unknown !== undefined) {
      throw new SoapFault(
        'InvalidProperty',
        `${type} has no property ${unknown} here`,
        leaf('name', unknown),
      );
    }
  }
}

function managerObject(moref: string, authorization: Authorization): VCenterObject {
  const roles = (): string => `<val xsi:type="ArrayOfAuthorizationRole">${authorization.roleList()}</val>`;
  const property = (path: string): string | undefined => (path === 'roleList' ? roles() : undefined);
  return { type: 'AuthorizationManager', moref, denied: false, property };
}

/** The types that a view shows. @throws SoapFault when it is not there */
export function viewTypes(view: string, session: Session): readonly string[] {
  const types = session.views.get(view);
  if (types !== undefined) return types;
  const fields = reference('obj', 'ContainerView', view);
  throw new SoapFault('ManagedObjectNotFound', `The object '${view}' has already been deleted`, fields);
}

function pageSize(options: XmlElement | undefined): number {
  const size = Number(options?.child('maxObjects')?.text ?? defaultPageSize);
  if (Number.isSafeInteger(size) && size > 0) return size;
  throw new SoapFault('InvalidArgument', 'maxObjects must be a positive number');
}

function page(session: Session, { rest, paths, size }: Pages): string {
  if (rest.length === 0) return '';
  let token = '';
  if (rest.length > size) {
    if (session.pages.size >= maxRetrievals)
      throw new SoapFault('LimitExceeded', 'Too many retrievals are open.');
    token = randomUUID();
    session.pages.set(token, { rest: rest.slice(size), paths, size });
  }
  const objects = rest.slice(0, size).map((object) => objectContent(object, pathsFor(object, paths)));
  return `<returnval>${token === '' ? '' : leaf('token', token)}${objects.join('')}</returnval>`;
}

/** The properties wanted of an object: those of its own type, or of one that it is a kind of. */
export function pathsFor(
  { type }: VCenterObject,
  paths: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  return paths.get(type) ?? [...paths].find(([wanted]) => isKindOf(type, wanted))?.[1] ?? [];
}

/** @throws SoapFault when there is no such object, or the user does not see it. */
function findObject(
  asked: XmlElement | undefined,
  { inventory, session }: { inventory: Inventory; session: Session },
): VCenterObject {
  const type = asked?.attribute('type') ?? '';
  const moref = asked?.text ?? '';
  const found = objectsOf(inventory, [type], session.user).find((object) => object.moref === moref);
  if (found !== undefined) return found;
  throw new SoapFault(
    'ManagedObjectNotFound',
    `The object '${moref}' has already been deleted`,
    reference('obj', type, moref),
  );
}

function objectContent(object: VCenterObject, paths: readonly string[]): string {
  const propSets: string[] = [];
  const missing: string[] = [];
  for (const path of paths) {
    if (object.denied && path !== 'name') {
      missing.push(`<missingSet>${leaf('path', path)}<fault><fault xsi:type="NoPermission">\
${reference('object', object.type, object.moref)}${leaf('privilegeId', 'System.Read')}</fault></fault></missingSet>`);
      continue;
    }
    const value = object.property(path);
    if (value !== undefined) propSets.push(`<propSet>${leaf('name', path)}${value}</propSet>`);
  }
  return `<objects>${reference('obj', object.type, object.moref)}${propSets.join('')}${missing.join('')}</objects>`;
}
