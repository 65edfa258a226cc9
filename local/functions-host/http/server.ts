import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

import { KiB } from '../../../shared/bytes.ts';

/** Key and certificate (chain) of the server, both PEM. */
export type TlsFiles = { key: string; cert: string };

/** A server that listens; `close` ends it and its connections. */
export type ListeningServer = { port: number; close(): Promise<void> };

/** Answers one request; a rejection becomes a 500 without a body, as the real host sends it. */
export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** How long a stopping server waits for requests in work. */
const closeTimeoutMs = 3_000;
/** What the real host takes: https://learn.microsoft.com/dotnet/api/microsoft.aspnetcore.server.kestrel.core.kestrelserverlimits */
const maxHeaderSize = 32 * KiB;

/** Listens for HTTP, or HTTPS when given a key and a certificate. @throws Error when the port is taken */
export async function listen(options: {
  host: string;
  port: number;
  tls?: TlsFiles | undefined;
  handle: RequestHandler;
  onError: (error: unknown) => void;
}): Promise<ListeningServer> {
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    options.handle(request, response).catch((error: unknown) => {
      options.onError(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(500, { 'content-length': 0 }).end();
    });
  };
  const server =
    options.tls === undefined
      ? createHttpServer({ maxHeaderSize }, onRequest)
      : createHttpsServer({ ...options.tls, maxHeaderSize }, onRequest);
  // An app may answer after minutes; a body of 100 MB over a slow link takes a while too.
  server.requestTimeout = 10 * 60_000;
  server.keepAliveTimeout = 65_000;
  await startListening(server, options.port, options.host);
  const { port } = server.address() as AddressInfo;
  return { port, close: () => stopListening(server) };
}

function startListening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Lets requests in work be answered, for a while. */
async function stopListening(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
  await closed;
  clearTimeout(timer);
}
