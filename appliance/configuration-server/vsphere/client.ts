import { DiscoveryLimits } from '../../../shared/wire/discovery.ts';
import { escapeXml, type XmlElement } from '../../../shared/xml.ts';
import { readObjectContent, type ObjectContent } from './object-content.ts';
import {
  envelopeOf,
  readReference,
  readResponse,
  readServiceContent,
  reference,
  retrieveServiceContent,
  type AboutServer,
  type Reference,
  type ServiceContent,
} from './service-content.ts';
import { defaultLimits, SoapTransport, type SoapRequest, type TransportLimits } from './soap-transport.ts';
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

/** Which properties of which types are wanted. */
export type Selection = Readonly<Record<string, readonly string[]>>;

// Objects in one page: few enough that a page of large machines stays small, many enough that round trips don't count.
const pageObjects = 250;
const farewellMs = 3_000;

/**
 * A session on a vCenter Server or an ESXi host. It counts against the server's sessions until it is closed.
 * Calls go one after another.
 */
export class VSphereClient {
  readonly #settings: VSphereSettings;
  readonly #transport: SoapTransport;
  readonly #service: ServiceContent;
  #session: string | undefined;
  #sessionKey = '';

  private constructor(
    settings: VSphereSettings,
    transport: SoapTransport,
    service: ServiceContent,
    session: string | undefined,
  ) {
    this.#settings = settings;
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
      const client = new VSphereClient(
        settings,
        transport,
        readServiceContent(body, transport.address),
        session,
      );
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

  /** The server's own objects. */
  get service(): ServiceContent {
    return this.#service;
  }

  /** The session as the server names it in its own calls. */
  get sessionKey(): string {
    return this.#sessionKey;
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
    const view = await this.createView(Object.keys(selection));
    const pager = new Pager(this.address, onObject);
    let token = await pager.read((onElement) => this.#retrieve(view, selection, onElement));
    while (token !== undefined) {
      const next = `<token>${escapeXml(token)}</token>`;
      token = await pager.read(async (onElement) => {
        const collector = this.#service.propertyCollector;
        return this.#call('ContinueRetrievePropertiesEx', collector, {
          parameters: next,
          cut: { name: 'objects', onElement },
        });
      });
    }
    await this.#call('DestroyView', view, {});
  }

  /**
   * Reads properties of one object that is in no container view, such as a manager.
   *
   * @throws VSphereError as {@link collect}
   */
  async read(object: Reference, paths: readonly string[]): Promise<ObjectContent | undefined> {
    const { type } = object;
    let found: ObjectContent | undefined;
    await this.#call('RetrievePropertiesEx', this.#service.propertyCollector, {
      parameters: `<specSet>${propertySet(type, paths)}<objectSet>${reference('obj', object)}</objectSet></specSet><options/>`,
      cut: { name: 'objects', onElement: (element) => (found = readObjectContent(element)) },
    });
    return found;
  }

  /** Calls a method of vSphere's. @throws VSphereError */
  async call(
    method: string,
    on: Reference,
    parameters: string,
    cut?: SoapRequest['cut'],
  ): Promise<XmlElement> {
    return this.#call(method, on, { parameters, cut });
  }

  /** Closes the connection at once, whatever is under way on it; the server ends the session when it finds it idle. */
  destroy(): void {
    this.#transport.close();
  }

  /** Closes the connection at once and logs out over another, for a few seconds at most. */
  async abandon(): Promise<void> {
    this.destroy();
    const { host, port } = this.#settings;
    const limits = { ...defaultLimits, connectMs: farewellMs, idleMs: farewellMs, callMs: farewellMs };
    const transport = new SoapTransport({ host, port, fingerprint: this.fingerprint }, limits);
    const body = `<Logout xmlns="urn:vim25">${reference('_this', this.#service.sessionManager)}</Logout>`;
    try {
      await transport.send({ envelope: envelopeOf(body), session: this.#session });
    } catch (error) {
      if (!(error instanceof VSphereError)) throw error; // a server that is gone ends the session itself
    } finally {
      transport.close();
    }
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
    const answer = await this.#call('Login', this.#service.sessionManager, { parameters });
    this.#sessionKey = answer.child('returnval')?.childText('key') ?? '';
    if (this.#session === undefined) {
      throw new VSphereError('BadAnswer', `${this.address} took the login and began no session`);
    }
  }

  /** Makes a view of all objects of some types that the account may see. @throws VSphereError */
  async createView(types: string[]): Promise<Reference> {
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
    const propSets = Object.entries(selection).map(([type, paths]) => propertySet(type, paths));
    const parameters = `<specSet>${propSets.join('')}${viewSet(view)}</specSet>\
<options><maxObjects>${pageObjects}</maxObjects></options>`;
    return this.#call('RetrievePropertiesEx', this.#service.propertyCollector, {
      parameters,
      cut: { name: 'objects', onElement },
    });
  }

  /** Returns the `…Response` element. */
  async #call(
    method: string,
    on: Reference,
    { parameters = '', cut }: { parameters?: string; cut?: SoapRequest['cut'] },
  ): Promise<XmlElement> {
    const { body, session } = await this.#transport.send({
      envelope: envelopeOf(`<${method} xmlns="urn:vim25">${reference('_this', on)}${parameters}</${method}>`),
      session: this.#session,
      cut,
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

/** Some properties of all objects of a type. */
export function propertySet(type: string, paths: readonly string[]): string {
  return `<propSet><type>${type}</type>${paths.map((path) => `<pathSet>${path}</pathSet>`).join('')}</propSet>`;
}

/** All objects that a view shows. */
export function viewSet(view: Reference): string {
  return `<objectSet>${reference('obj', view)}<skip>true</skip>\
<selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path><skip>false</skip>\
</selectSet></objectSet>`;
}
