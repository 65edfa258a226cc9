import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import { MiB } from '../../../shared/bytes.ts';
import { parseXml, XmlError, type XmlElement } from '../../../shared/xml.ts';
import { ObjectSplitter } from './object-splitter.ts';
import { PinnedAgent } from './pinned-agent.ts';
import { VSphereError } from './vsphere-error.ts';

/** What bounds every exchange with a server, however it behaves. */
export interface TransportLimits {
  /** From the first packet to the end of the TLS handshake. */
  connectMs: number;
  /** Without a byte from the server. */
  idleMs: number;
  /** One call, from its start to the answer's last byte. */
  callMs: number;
  /** One answer. */
  answerBytes: number;
  /** One object of an answer, and apart from that all that is not objects. */
  partChars: number;
}

/** Enough for 50,000 machines in one answer; a machine of 64 disks takes about 200 KiB. */
export const defaultLimits: TransportLimits = {
  connectMs: 15_000,
  idleMs: 60_000,
  callMs: 600_000,
  answerBytes: 1024 * MiB,
  partChars: 4 * MiB,
};

/** SOAP answers and faults alike, before anybody looks what they say. */
export interface SoapAnswer {
  /** The envelope's body, without the objects that were handed over while it arrived. */
  body: XmlElement;
  /** The session cookie, where the server sets one. */
  session: string | undefined;
}

/** One SOAP call as it goes over the wire. */
export interface SoapRequest {
  envelope: string;
  session: string | undefined;
  /** Gets each element of that name in the answer, in order, while the answer arrives. */
  cut?: { name: 'objects' | 'objectSet'; onElement: (element: XmlElement) => void } | undefined;
}

// vSphere 6.0's version of the API: everything discovery reads is in it, and every later release speaks it.
const soapAction = 'urn:vim25/6.0';

/** Sends SOAP requests to the one server behind a {@link PinnedAgent}, one at a time. */
export class SoapTransport {
  readonly #agent: PinnedAgent;
  readonly #host: string;
  readonly #port: number;
  readonly #limits: TransportLimits;

  constructor(
    server: { host: string; port: number; fingerprint?: string | undefined },
    limits: TransportLimits,
  ) {
    this.#agent = new PinnedAgent({ ...server, connectTimeoutMs: limits.connectMs });
    this.#host = server.host;
    this.#port = server.port;
    this.#limits = limits;
  }

  /** Host and port, for messages. */
  get address(): string {
    return `${this.#host}:${this.#port}`;
  }

  get fingerprint(): string | undefined {
    return this.#agent.fingerprint;
  }

  /** Closes the connection. */
  close(): void {
    this.#agent.destroy();
  }

  /** @throws VSphereError Unreachable, CertificateChanged, NotVSphere, BadAnswer. */
  async send(call: SoapRequest): Promise<SoapAnswer> {
    const deadline = AbortSignal.timeout(this.#limits.callMs);
    try {
      const response = await this.#post(call, deadline);
      this.#checkStatus(response);
      const xml = await this.#read(response, call.cut);
      const body = parseXml(xml).child('Envelope')?.child('Body');
      if (body === undefined) throw new VSphereError('NotVSphere', `${this.address} does not answer in SOAP`);
      return { body, session: sessionCookie(response) };
    } catch (error) {
      throw this.#explain(error, deadline);
    }
  }

  #post(call: SoapRequest, signal: AbortSignal): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = request({
        agent: this.#agent,
        host: this.#host,
        port: this.#port,
        path: '/sdk',
        method: 'POST',
        signal,
        timeout: this.#limits.idleMs,
        headers: {
          'content-type': 'text/xml; charset=utf-8',
          'content-length': Buffer.byteLength(call.envelope),
          soapaction: soapAction,
          ...(call.session === undefined ? {} : { cookie: call.session }),
        },
      });
      let answer: IncomingMessage | undefined;
      outgoing.on('timeout', () => {
        const seconds = this.#limits.idleMs / 1000;
        const error = new VSphereError('Unreachable', `${this.address} sent nothing for ${seconds} s`);
        // Whoever waits for the answer's next byte hears of it through the answer.
        (answer ?? outgoing).destroy(error);
      });
      outgoing.on('response', (incoming) => {
        answer = incoming;
        resolve(incoming);
      });
      outgoing.on('error', reject);
      outgoing.end(call.envelope);
    });
  }

  #checkStatus(response: IncomingMessage): void {
    const status = response.statusCode ?? 0;
    // Faults come with 500. 503 is the answer of vCenter's own proxy while the service behind it starts.
    const isXml = /xml/iu.test(response.headers['content-type'] ?? '');
    if ((status === 200 || status === 500) && isXml) return;
    response.destroy();
    if (status === 502 || status === 503 || status === 504) {
      throw new VSphereError(
        'Unreachable',
        `${this.address} answers ${status}: vSphere is not running there yet`,
      );
    }
    const type = response.headers['content-type'] ?? 'no type';
    throw new VSphereError('NotVSphere', `${this.address} answers ${status} (${type}), which is not vSphere`);
  }

  async #read(response: IncomingMessage, cut: SoapRequest['cut']): Promise<string> {
    const decoder = new StringDecoder('utf8');
    const name = cut?.name ?? 'objects';
    const splitter = new ObjectSplitter(name, this.#limits.partChars, (xml) => {
      const element = parseXml(xml).child(name);
      if (element !== undefined) cut?.onElement(element);
    });
    let bytes = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > this.#limits.answerBytes) {
        throw new XmlError(`The answer is larger than ${this.#limits.answerBytes} bytes`);
      }
      splitter.push(decoder.write(chunk));
    }
    splitter.push(decoder.end());
    return splitter.end();
  }

  #explain(error: unknown, deadline: AbortSignal): unknown {
    if (error instanceof VSphereError) return error;
    if (error instanceof XmlError) {
      return new VSphereError('BadAnswer', `${this.address}: ${error.message}`, { cause: error });
    }
    if (deadline.aborted) {
      const seconds = this.#limits.callMs / 1000;
      return new VSphereError('Unreachable', `${this.address} did not finish its answer in ${seconds} s`);
    }
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    // A failure without a system's or OpenSSL's code is a mistake of this program.
    if (code === undefined) return error;
    return new VSphereError('Unreachable', `${this.address}: ${inWords(code)}`, { cause: error });
  }
}

function inWords(code: string): string {
  const words: Record<string, string> = {
    ENOTFOUND: 'no such name in DNS',
    EAI_AGAIN: 'DNS does not answer',
    ECONNREFUSED: 'nothing listens there',
    ECONNRESET: 'the connection was cut',
    EPIPE: 'the connection was cut',
    ETIMEDOUT: 'no answer in time',
    EHOSTUNREACH: 'no route to it',
    ENETUNREACH: 'no route to its network',
  };
  return words[code] ?? (code.startsWith('ERR_SSL') || code === 'EPROTO' ? `no TLS there (${code})` : code);
}

/** The session's cookie as it is to be sent back; every other cookie is left. */
function sessionCookie(response: IncomingMessage): string | undefined {
  for (const cookie of response.headers['set-cookie'] ?? []) {
    const pair = cookie.split(';', 1)[0]?.trim() ?? '';
    if (pair.startsWith('vmware_soap_session=') && pair.length <= 1024) return pair;
  }
  return undefined;
}
