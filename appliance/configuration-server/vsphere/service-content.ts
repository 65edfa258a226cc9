import { escapeXml, type XmlElement } from '../../../shared/xml.ts';
import { toVSphereError } from './soap-fault.ts';
import { VSphereError } from './vsphere-error.ts';

/** What a server says of itself. */
export interface AboutServer {
  apiType: 'VirtualCenter' | 'HostAgent';
  product: string;
  version: string;
  instanceUuid: string | undefined;
}

/** A managed object's type and id, as SOAP carries it. */
export interface Reference {
  type: string;
  moref: string;
}

/** The server's own objects, from which everything is reached. */
export interface ServiceContent {
  about: AboutServer;
  rootFolder: Reference;
  propertyCollector: Reference;
  viewManager: Reference;
  sessionManager: Reference;
  authorizationManager: Reference;
}

/** The request that needs no session: what the server is and has. */
export const retrieveServiceContent = envelopeOf(
  '<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent>',
);

/** A SOAP message with this body. */
export function envelopeOf(body: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`;
}

/** An element that refers to a managed object. */
export function reference(name: string, { type, moref }: Reference): string {
  return `<${name} type="${escapeXml(type)}">${escapeXml(moref)}</${name}>`;
}

/** @throws VSphereError BadAnswer when the element is missing. */
export function readReference(parent: XmlElement | undefined, name: string, address: string): Reference {
  const element = parent?.child(name);
  const type = element?.attribute('type');
  if (element === undefined || type === undefined) {
    throw new VSphereError('BadAnswer', `${address} leaves out '${name}'`);
  }
  return { type, moref: element.text };
}

/** The `…Response` element. @throws VSphereError for a fault, or for what no vSphere answers. */
export function readResponse(body: XmlElement, method: string, address: string): XmlElement {
  const fault = body.child('Fault');
  if (fault !== undefined) throw toVSphereError(fault, address);
  const response = body.child(`${method}Response`);
  if (response !== undefined) return response;
  throw new VSphereError('NotVSphere', `${address} does not answer ${method} as vSphere does`);
}

/** @throws VSphereError NotVSphere, BadAnswer. */
export function readServiceContent(body: XmlElement, address: string): ServiceContent {
  const content = readResponse(body, 'RetrieveServiceContent', address).child('returnval');
  return {
    about: readAbout(content?.child('about'), address),
    rootFolder: readReference(content, 'rootFolder', address),
    propertyCollector: readReference(content, 'propertyCollector', address),
    viewManager: readReference(content, 'viewManager', address),
    sessionManager: readReference(content, 'sessionManager', address),
    authorizationManager: readReference(content, 'authorizationManager', address),
  };
}

function readAbout(about: XmlElement | undefined, address: string): AboutServer {
  const text = (name: string): string => about?.childText(name) ?? '';
  const apiType = text('apiType');
  if (apiType !== 'VirtualCenter' && apiType !== 'HostAgent') {
    throw new VSphereError('NotVSphere', `${address} is neither a vCenter Server nor an ESXi host`);
  }
  return {
    apiType,
    product: text('fullName'),
    version: text('version'),
    instanceUuid: text('instanceUuid') || undefined,
  };
}
