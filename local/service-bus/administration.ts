/**
 * The administration API, as far as it concerns queues, over https:
 * https://learn.microsoft.com/rest/api/servicebus/queues
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import {
  errorDocument,
  feed,
  MalformedDocument,
  namespaceEntry,
  queueEntry,
  readQueueSettings,
} from './atom.ts';
import type { Namespace } from './namespace.ts';
import type { Queue } from './queue.ts';
import { DEFAULT_DESCRIPTION, describeQueue, InvalidDescription } from './queue-description.ts';
import { covers, entityPath, TokenRefused, type TokenVerifier } from './sas.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const PAGE_SIZE = 100;

/** A request that is not carried out, with its HTTP status. */
class AdminRefusal extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

interface AdminRequest {
  method: string;
  url: URL;
  /** The path without its first slash, decoded, as the client wrote it. */
  path: string;
  isUpdate: boolean;
  body: string;
}

interface AdminResponse {
  status: number;
  body: string;
}

/** What the administration API works on. */
export interface AdminService {
  namespace: Namespace;
  verifier: TokenVerifier;
}

/** Makes the API's server; the caller lets it listen and close. */
export function createAdminServer(service: AdminService, tls: { key: string; cert: string }): Server {
  const startedAtMs = Date.now();
  return createServer(tls, (request, response) => {
    void answer(service, request, startedAtMs).then((result) => {
      // What was changed is told only once it is committed.
      service.namespace.store.journal.afterCommit(() => send(response, result));
    });
  });
}

async function answer(
  service: AdminService,
  incoming: IncomingMessage,
  startedAtMs: number,
): Promise<AdminResponse> {
  try {
    const url = new URL(incoming.url ?? '/', `https://${incoming.headers.host ?? 'localhost'}`);
    authorize(service.verifier, incoming.headers.authorization, url);
    const request: AdminRequest = {
      method: incoming.method ?? 'GET',
      url,
      path: decodePath(url),
      isUpdate: incoming.headers['if-match'] === '*',
      body: await readBody(incoming),
    };
    return route(service.namespace, request, startedAtMs);
  } catch (error) {
    return asResponse(error);
  }
}

function asResponse(error: unknown): AdminResponse {
  if (error instanceof AdminRefusal) return refused(error.status, error.message);
  if (error instanceof InvalidDescription || error instanceof MalformedDocument) {
    return refused(400, `SubCode=40000. ${error.message}`);
  }
  throw error;
}

function refused(status: number, detail: string): AdminResponse {
  return { status, body: errorDocument(status, detail) };
}

function send(response: ServerResponse, { status, body }: AdminResponse): void {
  const type = status < 300 ? 'application/atom+xml;charset=utf-8' : 'application/xml;charset=utf-8';
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

/** @throws AdminRefusal unless the token is valid here and its rule has the Manage right. */
function authorize(verifier: TokenVerifier, token: string | undefined, url: URL): void {
  if (token === undefined) throw new AdminRefusal(401, 'MissingToken: the authorization header is missing.');
  try {
    const grant = verifier.verify(token, Date.now());
    if (!grant.rights.has('Manage') || !covers(grant.path, entityPath(url.pathname))) {
      throw new AdminRefusal(
        401,
        `SubCode=40100. Unauthorized: the claim 'Manage' is required on '${url.pathname}'; the rule '${grant.ruleName}' or the token's scope does not give it.`,
      );
    }
  } catch (error) {
    if (error instanceof TokenRefused) throw new AdminRefusal(401, error.message);
    throw error;
  }
}

function decodePath(url: URL): string {
  try {
    return decodeURIComponent(url.pathname).replace(/^\/|\/$/g, '');
  } catch {
    throw new AdminRefusal(400, 'SubCode=40000. The path is not URL-encoded.');
  }
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) {
      throw new AdminRefusal(413, `SubCode=41300. The body exceeds ${MAX_BODY_BYTES} bytes.`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function route(namespace: Namespace, request: AdminRequest, startedAtMs: number): AdminResponse {
  const path = request.path.toLowerCase();
  if (path === '$namespaceinfo' && request.method === 'GET') {
    return { status: 200, body: namespaceEntry(request.url.origin, startedAtMs) };
  }
  if (path === '$resources/queues' && request.method === 'GET') return listQueues(namespace, request);
  if (path.startsWith('$') || path.includes('/subscriptions') || path === '') {
    throw new AdminRefusal(
      400,
      `SubCode=40000. not supported by the local Service Bus: ${request.method} /${request.path}`,
    );
  }
  if (request.method === 'PUT') return putQueue(namespace, request);
  const queue = getQueue(namespace, request);
  if (request.method === 'GET') return entryResponse(200, queue, request);
  if (request.method !== 'DELETE') throw new AdminRefusal(405, `${request.method} is not allowed here.`);
  namespace.delete(queue);
  return { status: 200, body: '' };
}

function getQueue(namespace: Namespace, { path }: AdminRequest): Queue {
  const queue = namespace.find(path);
  if (queue !== undefined) return queue;
  throw new AdminRefusal(404, `SubCode=40400. The messaging entity '${path}' could not be found.`);
}

function putQueue(namespace: Namespace, request: AdminRequest): AdminResponse {
  const settings = readQueueSettings(request.body);
  if (request.isUpdate) {
    const queue = getQueue(namespace, request);
    const description = describeQueue(settings, queue.stored.description);
    if (description.RequiresDuplicateDetection !== queue.stored.description.RequiresDuplicateDetection) {
      throw new InvalidDescription('RequiresDuplicateDetection cannot be changed once a queue is made.');
    }
    queue.update(description, Date.now());
    return entryResponse(200, queue, request);
  }
  if (namespace.find(request.path) !== undefined) {
    throw new AdminRefusal(409, `SubCode=40900. Conflict. The queue '${request.path}' exists already.`);
  }
  const queue = namespace.create(request.path, describeQueue(settings, DEFAULT_DESCRIPTION));
  return entryResponse(201, queue, request);
}

function entryResponse(status: number, queue: Queue, { url }: AdminRequest): AdminResponse {
  return { status, body: queueEntry(queue, url.origin) };
}

function listQueues(namespace: Namespace, { url }: AdminRequest): AdminResponse {
  const skip = wholeNumber(url, '$skip', 0);
  const top = Math.min(wholeNumber(url, '$top', PAGE_SIZE), PAGE_SIZE);
  const all = namespace.list();
  const entries = all.slice(skip, skip + top).map((queue) => queueEntry(queue, url.origin));
  let nextUrl: string | undefined;
  if (skip + top < all.length) {
    const next = new URL(url);
    next.searchParams.set('$skip', String(skip + top));
    next.searchParams.set('$top', String(top));
    nextUrl = next.href;
  }
  return { status: 200, body: feed(url.href, entries, nextUrl) };
}

function wholeNumber(url: URL, name: string, otherwise: number): number {
  const text = url.searchParams.get(name);
  if (text === null) return otherwise;
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new AdminRefusal(400, `SubCode=40000. ${name} must be a whole number: '${text}'.`);
}
