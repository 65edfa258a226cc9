import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { KiB } from '../../shared/bytes.ts';
import {
  createAuthority,
  fingerprintOf,
  issueCertificate,
  type CertifiedKey,
} from '../../shared/certificate.ts';
import { Authorization } from './authorization.ts';
import { InventoryFile, type Inventory } from './inventory.ts';
import { runCall } from './methods.ts';
import { Sessions } from './sessions.ts';
import { readCall, SoapFault, writeAnswer, writeFault } from './soap.ts';

const maxBodyBytes = 256 * KiB;

/** What a local vCenter is started with. */
export interface VCenterOptions {
  /** JSON, see {@link VCenterInventory}; read again when it changes. */
  inventoryFile: string;
  /** Any free one when left out. */
  port?: number;
  /** Certificate and key; left out, they are made anew with every start, and so is the fingerprint. */
  tls?: CertifiedKey;
  /** Hears of an inventory file that cannot be used; the last good one is served meanwhile. */
  onProblem?: (message: string) => void;
}

/** A local vCenter that runs. */
export interface VCenter {
  port: number;
  url: string;
  /** SHA-256 of the certificate: upper case hex with colons. */
  fingerprint: string;
  /** What it shows: to start it anew as the same server. */
  tls: CertifiedKey;
  /** How many logins were asked for, refused ones too. */
  readonly logins: number;
  close(): Promise<void>;
}

/**
 * Starts a server of the part of vSphere's SOAP API that discovery needs, on 127.0.0.1.
 *
 * @throws Error when the inventory file cannot be used or the port is taken.
 */
export async function startVCenter(options: VCenterOptions): Promise<VCenter> {
  const inventory = await InventoryFile.open(options.inventoryFile, options.onProblem ?? (() => undefined));
  const tls = options.tls ?? (await makeCertificate());
  const sessions = new Sessions();
  const authorization = new Authorization();
  const server = createServer({ cert: tls.certificatePem, key: tls.privateKeyPem }, (request, response) => {
    answer(request, response, { inventory, sessions, authorization }).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  return {
    port,
    url: `https://127.0.0.1:${port}/sdk`,
    fingerprint: fingerprintOf(tls.certificatePem),
    tls,
    get logins() {
      return sessions.logins;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function makeCertificate(): Promise<CertifiedKey> {
  const lifetime = { days: 825, nowMs: Date.now() };
  const authority = await createAuthority({ commonName: 'Local vCenter CA', ...lifetime });
  return issueCertificate(authority, {
    commonName: 'vcenter.local',
    usage: 'server',
    dnsNames: ['localhost', 'vcenter.local'],
    ipAddresses: ['127.0.0.1'],
    ...lifetime,
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  served: { inventory: InventoryFile; sessions: Sessions; authorization: Authorization },
): Promise<void> {
  if (request.method !== 'POST' || !/^\/sdk(\/vimService)?$/u.test(request.url ?? '')) {
    response.writeHead(404, { connection: 'close' }).end();
    return;
  }
  const left = new AbortController();
  response.once('close', () => left.abort());
  const body = await readBody(request);
  if (body === undefined) {
    response.writeHead(413, { connection: 'close' }).end();
    return;
  }
  try {
    const call = readCall(body);
    const session = served.sessions.find(request.headers.cookie);
    const current = async (): Promise<Inventory> => served.inventory.current();
    const { signal } = left;
    const result = await runCall(call, { ...served, inventory: await current(), current, signal, session });
    if (result.began !== undefined) {
      const cookie = `vmware_soap_session="${result.began.id}"; Path=/; HttpOnly; Secure`;
      response.setHeader('set-cookie', cookie);
    }
    send(response, 200, writeAnswer(call.method, result.content));
  } catch (error) {
    const fault = error instanceof SoapFault ? error : new SoapFault('RuntimeFault', String(error));
    send(response, 500, writeFault(fault));
  }
}

/** The body as text, or undefined when it is larger than any call. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not destroyed when left early, so that the refusal can still be sent.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, xml: string): void {
  response.writeHead(status, { 'content-type': 'text/xml; charset="utf-8"', 'cache-control': 'no-cache' });
  response.end(xml);
}
