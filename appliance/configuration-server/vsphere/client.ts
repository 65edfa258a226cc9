import { DiscoveryLimits } from '../../../shared/wire/discovery.ts';
import { escapeXml, type XmlElement } from '../../../shared/xml.ts';
import { readObjectContent, type ObjectContent } from './object-content.ts';
import { toVSphereError } from './soap-fault.ts';
import { defaultLimits, SoapTransport, type TransportLimits } from './soap-transport.ts';
import { VSphereError } from './vsphere-error.ts';

/** Which server, with which account. */
export interface VSphereSettings {
  /** Name or address of a vCenter Server or an ESXi host. */
  host: string;
  port: number;
  user: string;
  password: string;
  /** The pinned certificate; left out on first use, when the certificate shown is taken as the one to pin. */
  fingerprint?: string | undefined;
  limits?: Partial<TransportLimits>;
}

/** What a server says of itself. */
export interface AboutServer {
  apiType: 'VirtualCenter' | 'HostAgent';
  product: string;
  version: string;
  instanceUuid: string | undefined;
}

/** A managed object's type and id, as SOAP carries it. */
interface Reference {
  type: string;
  moref: string;
}

interface ServiceContent {
  about: AboutServer;
  rootFolder: Reference;
  propertyCollector: Reference;
  viewManager: Reference;
  sessionManager: Reference;
}

/** Which properties of which types are wanted. */
export type Selection = Readonly<Record<string, readonly string[]>>;

// Objects in one page: few enough that a page of large machines stays small, many enough that round trips don't count.
const pageObjects = 250;

/**
 * A session on a vCenter Server or an ESXi host. It counts against the server's sessions until it is closed.
 * Calls go one after another.
 */
export class VSphereClient {
  readonly #transport: SoapTransport;
  readonly #service: ServiceContent;
  #session: string | undefined;

  private constructor(transport: SoapTransport, service: ServiceContent, session: string | undefined) {
    this.#transport = transport;
    this.#service = service;
    this.#session = session;
  }

  /**
   * Connects and logs in.
   *
   * @throws VSphereError of any reason; CertificateChanged before a byte of a request was sent.
   */
  static async connect(settings: VSphereSettings): Promise<VSphereClient> {
    const { host, port, user, password, fingerprint, limits } = settings;
    const transport = new SoapTransport({ host, port, fingerprint }, { ...defaultLimits, ...limits });
    try {
      const { body, session } = await transport.send({
        envelope: retrieveServiceContent,
        session: undefined,
      });
      const client = new VSphereClient(transport, readServiceContent(body, transport.address), session);
      await client.#logIn(user, password);
      return client;
    } catch (error) {
      transport.close();
      throw error;
    }
  }

  get about(): AboutServer {
    return this.#service.about;
  }

  /** Host and port, for messages. */
  get address(): string {
    return this.#transport.address;
  }

  /** SHA-256 fingerprint of the server's certificate, to be pinned. */
  get fingerprint(): string {
    return this.#transport.fingerprint ?? '';
  }

  /**
   * Reads the properties of all objects of the selection's types that the account may see, each handed over as it
   * arrives. An object that changes while pages are read can come twice.
   *
   * @throws VSphereError Unreachable, NoPermission, BadAnswer, SessionEnded, ServerFault.
   */
  async collect(selection: Selection, onObject: (object: ObjectContent) => void): Promise<void> {
    const view = await this.#createView(Object.keys(selection));
    const pager = new Pager(this.address, onObject);
    let token = await pager.read((onElement) => this.#retrieve(view, selection, onElement));
    while (token !== undefined) {
      const next = `<token>${escapeXml(token)}</token>`;
      token = await pager.read(async (onElement) => {
        const collector = this.#service.propertyCollector;
        return this.#call('ContinueRetrievePropertiesEx', collector, { parameters: next, onElement });
      });
    }
    await this.#call('DestroyView', view, {});
  }

  /** Logs out and closes the connection. A server that is gone is no error: it ends the session itself. */
  async close(): Promise<void> {
    try {
      await this.#call('Logout', this.#service.sessionManager, {});
    } catch (error) {
      if (!(error instanceof VSphereError)) throw error;
    } finally {
      this.#transport.close();
    }
  }

  async #logIn(user: string, password: string): Promise<void> {
    const parameters = `<userName>${escapeXml(user)}</userName><password>${escapeXml(password)}</password>`;
    await this.#call('Login', this.#service.sessionManager, { parameters });
    if (this.#session === undefined) {
      throw new VSphereError('BadAnswer', `${this.address} took the login and began no session`);
    }
  }

  async #createView(types: string[]): Promise<Reference> {
    const { viewManager, rootFolder } = this.#service;
    const parameters = [
      reference('container', rootFolder),
      ...types.map((type) => `<type>${type}</type>`),
      '<recursive>true</recursive>',
    ];
    const answer = await this.#call('CreateContainerView', viewManager, { parameters: parameters.join('') });
    return readReference(answer, 'returnval', this.address);
  }

  async #retrieve(view: Reference, selection: Selection, onElement: (object: XmlElement) => void) {
    const propSets = Object.entries(selection).map(
      ([type, paths]) =>
        `<propSet><type>${type}</type>${paths.map((path) => `<pathSet>${path}</pathSet>`).join('')}</propSet>`,
    );
    const objectSet = `<objectSet>${reference('obj', view)}<skip>true</skip>\
<selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path><skip>false</skip>\
</selectSet></objectSet>`;
    const parameters = `<specSet>${propSets.join('')}${objectSet}</specSet>\
<options><maxObjects>${pageObjects}</maxObjects></options>`;
    return this.#call('RetrievePropertiesEx', this.#service.propertyCollector, { parameters, onElement });
  }

  /** Returns the `…Response` element. */
  async #call(
    method: string,
    on: Reference,
    { parameters = '', onElement }: { parameters?: string; onElement?: (object: XmlElement) => void },
  ): Promise<XmlElement> {
    const { body, session } = await this.#transport.send({
      envelope: envelopeOf(`<${method} xmlns="urn:vim25">${reference('_this', on)}${parameters}</${method}>`),
      session: this.#session,
      onObject: onElement,
    });
    this.#session = session ?? this.#session;
    return readResponse(body, method, this.address);
  }
}

/** Follows an answer's pages and stops what would never end. */
class Pager {
  readonly #address: string;
  readonly #onObject: (object: ObjectContent) => void;
  #total = 0;

  constructor(address: string, onObject: (object: ObjectContent) => void) {
    this.#address = address;
    this.#onObject = onObject;
  }

  /** Reads one page; returns the token of the next, if there is one. */
  async read(
    page: (onElement: (object: XmlElement) => void) => Promise<XmlElement>,
  ): Promise<string | undefined> {
    const before = this.#total;
    const answer = await page((element) => {
      this.#total += 1;
      if (this.#total > DiscoveryLimits.machines) {
        const message = `${this.#address} has more than ${DiscoveryLimits.machines} objects of a kind`;
        throw new VSphereError('BadAnswer', message);
      }
      this.#onObject(readObjectContent(element));
    });
    const token = answer.child('returnval')?.child('token')?.text;
    if (token !== undefined && this.#total === before) {
      throw new VSphereError('BadAnswer', `${this.#address} sends empty pages without end`);
    }
    return token;
  }
}

const retrieveServiceContent = envelopeOf(
  '<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent>',
);

function envelopeOf(body: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`;
}

function reference(name: string, { type, moref }: Reference): string {
  return `<${name} type="${escapeXml(type)}">${escapeXml(moref)}</${name}>`;
}

function readReference(parent: XmlElement | undefined, name: string, address: string): Reference {
  const element = parent?.child(name);
  const type = element?.attribute('type');
  if (element === undefined || type === undefined) {
    throw new VSphereError('BadAnswer', `${address} leaves out '${name}'`);
  }
  return { type, moref: element.text };
}

function readResponse(body: XmlElement, method: string, address: string): XmlElement {
  const fault = body.child('Fault');
  if (fault !== undefined) throw toVSphereError(fault, address);
  const response = body.child(`${method}Response`);
  if (response !== undefined) return response;
  throw new VSphereError('NotVSphere', `${address} does not answer ${method} as vSphere does`);
}

function readServiceContent(body: XmlElement, address: string): ServiceContent {
  const content = readResponse(body, 'RetrieveServiceContent', address).child('returnval');
  return {
    about: readAbout(content?.child('about'), address),
    rootFolder: readReference(content, 'rootFolder', address),
    propertyCollector: readReference(content, 'propertyCollector', address),
    viewManager: readReference(content, 'viewManager', address),
    sessionManager: readReference(content, 'sessionManager', address),
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
