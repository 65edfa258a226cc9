import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { createAdminServer } from './administration.ts';
import { ClientConnection, type Service } from './client-connection.ts';
import { Namespace } from './namespace.ts';
import { ServiceBusOptions } from './options.ts';
import { createBrokerConnection } from './rhea-internals.ts';
import { TokenVerifier } from './sas.ts';
import { Store } from './store.ts';

const HOST = '127.0.0.1';
const MAX_FRAME_BYTES = 64 * 1024;
const IDLE_TIMEOUT_MS = 120_000;

/** A running local Service Bus. */
export interface RunningServiceBus {
  /** Where AMQP is served in plain TCP, on loopback. */
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
  const amqp = createServer((socket) => serve(socket, service, connections));
  const admin = options.tls && createAdminServer({ namespace, verifier }, options.tls);
  const port = await listen(amqp, options.port);
  const adminPort = admin && (await listen(admin, options.adminPort));
  const stop = async (): Promise<void> => {
    admin?.closeAllConnections();
    for (const connection of connections) connection.close();
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

function serve(socket: Socket, service: Service, connections: Set<ClientConnection>): void {
  socket.setNoDelay(true);
  const connection = createBrokerConnection(MAX_FRAME_BYTES, IDLE_TIMEOUT_MS);
  const client = new ClientConnection(connection, socket, service);
  connections.add(client);
  socket.on('close', () => connections.delete(client));
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
