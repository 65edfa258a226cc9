import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { createAdminServer } from './administration.ts';
import { ClientConnection, type Service } from './client-connection.ts';
import { Namespace } from './namespace.ts';
import { ServiceBusOptions } from './options.ts';
import { createBrokerConnection } from './rhea-internals.ts';
import { TokenVerifier } from './sas.ts';
import { Store } from './store.ts';
import { WebSocketListener } from './web-socket-listener.ts';

const HOST = '127.0.0.1';
const MAX_FRAME_BYTES = 64 * 1024;
const IDLE_TIMEOUT_MS = 120_000;
/** Until a new connection says what it is. */
const FIRST_BYTE_MS = 60_000;
/** The first byte of a TLS record that begins a handshake (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 22;

/** A running local Service Bus. */
export interface RunningServiceBus {
  /** Where AMQP is served on loopback: in plain TCP, and over WebSocket with TLS where a certificate was given. */
  port: number;
  /** Where the administration API is served over https; undefined when no certificate was given. */
  adminPort: number | undefined;
  /** A connection string that signs with this rule. @throws Error when there is no such rule. */
  connectionString(ruleName: string): string;
  close(): Promise<void>;
}

/**
 * Starts the local Service Bus on 127.0.0.1.
 * @throws StoreFailure when another broker has the data folder open.
 */
export async function startServiceBus(
  input: ServiceBusOptions,
  log: Service['log'] = () => undefined,
): Promise<RunningServiceBus> {
  const options = ServiceBusOptions.parse(input);
  const store = new Store(options.dataFolder);
  const namespace = new Namespace(store);
  for (const { name, settings } of options.queues) namespace.ensure(name, settings);
  const verifier = new TokenVerifier(options.rules, ['localhost', HOST, ...options.hostNames]);
  const service: Service = { namespace, verifier, log };
  const connections = new Set<ClientConnection>();
  namespace.onDelete((queue) => {
    for (const connection of connections) connection.queueDeleted(queue);
  });
  const take = (stream: Duplex): void => serve(stream, service, connections);
  const webSockets = options.tls && new WebSocketListener(options.tls, take);
  const amqp = createServer((socket) => receive(socket, webSockets, take));
  const admin = options.tls && createAdminServer({ namespace, verifier }, options.tls);
  const port = await listen(amqp, options.port);
  const adminPort = admin && (await listen(admin, options.adminPort));
  const stop = async (): Promise<void> => {
    admin?.closeAllConnections();
    for (const connection of connections) connection.close();
    webSockets?.close();
    await Promise.all([closed(amqp), closed(admin)]);
    namespace.close();
    store.close();
  };
  let closing: Promise<void> | undefined;
  return {
    port,
    adminPort,
    connectionString: (ruleName) => {
      const rule = options.rules.find(({ name }) => name === ruleName);
      if (rule === undefined) throw new Error(`The local Service Bus has no rule named '${ruleName}'.`);
      return `Endpoint=sb://localhost:${port};SharedAccessKeyName=${rule.name};SharedAccessKey=${rule.key};UseDevelopmentEmulator=true;`;
    },
    close: () => (closing ??= stop()),
  };
}

/**
 * The client speaks first: TLS is the way to WebSocket, everything else is AMQP. One port serves both, because the
 * SDK takes a connection string's port for either.
 */
function receive(
  socket: Socket,
  webSockets: WebSocketListener | undefined,
  take: (stream: Duplex) => void,
): void {
  socket.setNoDelay(true);
  const giveUp = (): void => void socket.destroy();
  socket.setTimeout(FIRST_BYTE_MS, giveUp);
  socket.on('error', giveUp);
  socket.once('readable', () => {
    const first = socket.read() as Buffer | null; // no encoding is set
    socket.setTimeout(0);
    socket.off('error', giveUp);
    if (first === null) {
      giveUp();
      return;
    }
    socket.unshift(first);
    if (first[0] === TLS_HANDSHAKE && webSockets !== undefined) webSockets.take(socket);
    else take(socket);
  });
}

function serve(stream: Duplex, service: Service, connections: Set<ClientConnection>): void {
  const connection = createBrokerConnection(MAX_FRAME_BYTES, IDLE_TIMEOUT_MS);
  const client = new ClientConnection(connection, stream, service);
  connections.add(client);
  stream.on('close', () => connections.delete(client));
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => resolve((server.address() as AddressInfo).port));
  });
}

function closed(server: Server | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (server === undefined) resolve();
    else server.close(() => resolve());
  });
}
