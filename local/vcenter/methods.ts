import { randomUUID } from 'node:crypto';
import { fingerprintOf } from '../../shared/certificate.ts';
import type { XmlElement } from '../../shared/xml.ts';
import { isAdministrator } from './objects.ts';
import { continueRetrieving, retrieve } from './property-collector.ts';
import type { Authorization, Caller } from './authorization.ts';
import type { Inventory } from './inventory.ts';
import { isSame, type Session, type Sessions } from './sessions.ts';
import { leaf, reference, SoapFault, type SoapCall } from './soap.ts';
import { createFilter, waitForUpdates } from './updates.ts';

/** What a call acts on. */
export interface CallContext {
  inventory: Inventory;
  sessions: Sessions;
  authorization: Authorization;
  /** The inventory as the file has it when it is called. */
  current: () => Promise<Inventory>;
  /** The client went away. */
  signal: AbortSignal;
  /** Of the request's cookie. */
  session: Session | undefined;
}

/** What a call gives: the response element's content, and the session it began. */
export interface CallResult {
  content: string;
  began?: Session;
}

const maxViews = 100;

/** Runs one call. @throws SoapFault as vSphere would. */
export async function runCall(call: SoapCall, context: CallContext): Promise<CallResult> {
  switch (call.method) {
    case 'RetrieveServiceContent':
      return { content: serviceContent(context.inventory) };
    case 'CurrentTime':
      return { content: leaf('returnval', new Date().toISOString()) };
    case 'Login':
      return logIn(call.parameters, context);
    default:
      return { content: await runInSession(call, context) };
  }
}

async function runInSession(call: SoapCall, context: CallContext): Promise<string> {
  const { session, sessions, inventory, authorization, current, signal } = context;
  if (session === undefined) {
    throw new SoapFault(
      'NotAuthenticated',
      'The session is not authenticated.',
      reference('object', 'Folder', 'group-d1') + leaf('privilegeId', 'System.View'),
    );
  }
  switch (call.method) {
    case 'Logout':
      sessions.end(session);
      return '';
    case 'CreateContainerView':
      return createView(call.parameters, session);
    case 'CreateFilter':
      return createFilter(call.parameters, session);
    case 'DestroyPropertyFilter':
      session.filters.delete(call.on);
      return '';
    case 'WaitForUpdatesEx':
      return waitForUpdates(call.parameters, { session, current, signal });
    case 'DestroyView':
      session.views.delete(call.on);
      return '';
    case 'RetrievePropertiesEx':
      return retrieve(call.parameters, session, { inventory, authorization });
    case 'ContinueRetrievePropertiesEx':
      return continueRetrieving(call.parameters, session);
    case 'CancelRetrievePropertiesEx':
      session.pages.delete(call.parameters.childText('token'));
      return '';
    default:
      return authorization.run(call, callerOf(session, inventory), inventory);
  }
}

function callerOf({ id, user }: Session, inventory: Inventory): Caller {
  return { sessionId: id, user, isAdministrator: isAdministrator(user, inventory) };
}

function serviceContent({ apiType, name }: Inventory): string {
  const isVCenter = apiType === 'VirtualCenter';
  const product = isVCenter ? 'VMware vCenter Server' : 'VMware ESXi';
  const about = [
    leaf('name', product),
    leaf('fullName', `${product} 8.0.2 build-0 (local simulator '${name}')`),
    leaf('vendor', 'VMware, Inc.'),
    leaf('version', '8.0.2'),
    leaf('build', '0'),
    leaf('osType', 'linux-x64'),
    leaf('productLineId', isVCenter ? 'vpx' : 'embeddedEsx'),
    leaf('apiType', apiType),
    leaf('apiVersion', '8.0.2.0'),
    // A vCenter's own uuid stays with its name here, so that it stays over restarts.
    isVCenter ? leaf('instanceUuid', uuidOf(name)) : '',
  ];
  const isEsxPrefix = isVCenter ? '' : 'ha-';
  return `<returnval>${reference('rootFolder', 'Folder', isVCenter ? 'group-d1' : 'ha-folder-root')}\
${reference('propertyCollector', 'PropertyCollector', `${isEsxPrefix}propertyCollector`)}\
${reference('viewManager', 'ViewManager', 'ViewManager')}<about>${about.join('')}</about>\
${reference('sessionManager', 'SessionManager', `${isEsxPrefix}SessionManager`)}\
${reference('authorizationManager', 'AuthorizationManager', isVCenter ? 'AuthorizationManager' : 'ha-authmgr')}</returnval>`;
}

function uuidOf(name: string): string {
  const hex = fingerprintOf(Buffer.from(name)).replaceAll(':', '').toLowerCase();
  return hex.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5');
}

function logIn(parameters: XmlElement, { inventory, sessions, session }: CallContext): CallResult {
  const { account, administrator } = inventory;
  const isOf = (one: { user: string; password: string } | undefined): boolean =>
    one !== undefined &&
    isSame(parameters.childText('userName'), one.user) &&
    isSame(parameters.childText('password'), one.password);
  const named = parameters.childText('userName');
  sessions.logins += 1;
  const isLocked = sessions.lockout.isLocked(named, Date.now());
  const user = isLocked ? undefined : [account, administrator].find(isOf)?.user;
  if (user === undefined) {
    sessions.lockout.failed(named, Date.now());
    throw new SoapFault('InvalidLogin', 'Cannot complete login due to an incorrect user name or password.');
  }
  if (user === account.user && account.access === 'none') {
    const fields = reference('object', 'Folder', 'group-d1') + leaf('privilegeId', 'System.View');
    throw new SoapFault('NoPermission', 'Permission to perform this operation was denied.', fields);
  }
  if (session !== undefined) sessions.end(session);
  sessions.lockout.succeeded(user);
  const began = sessions.begin(user);
  const time = new Date().toISOString();
  const content = `<returnval>${leaf('key', began.id)}${leaf('userName', user)}${leaf('fullName', user)}\
${leaf('loginTime', time)}${leaf('lastActiveTime', time)}${leaf('locale', 'en')}${leaf('messageLocale', 'en')}</returnval>`;
  return { content, began };
}

function createView(parameters: XmlElement, session: Session): string {
  if (session.views.size >= maxViews) throw new SoapFault('LimitExceeded', 'Too many views are open.');
  const id = `session[${session.id}]${randomUUID()}`;
  session.views.set(
    id,
    parameters.children('type').map((type) => type.text),
  );
  return reference('returnval', 'ContainerView', id);
}
