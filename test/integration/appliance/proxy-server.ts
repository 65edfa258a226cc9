/** A real HTTP proxy that only knows CONNECT, with or without a user and password. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A proxy of a test. */
export class ProxyServer {
  readonly #server: Server;
  readonly #login: string | undefined;
  readonly #routes: ReadonlyMap<string, number>;
  readonly #sockets = new Set<Duplex>();
  /** What was asked for, `host:port` each, refused ones too. */
  readonly asked: string[] = [];

  private constructor(server: Server, login: string | undefined, routes: ReadonlyMap<string, number>) {
    this.#server = server;
    this.#login = login;
    this.#routes = routes;
    server.on('connect', (request: IncomingMessage, client: Socket) => this.#tunnel(request, client));
  }

  /**
   * @param options.login `user:password` that every request must bring
   * @param options.routes where `host:port` leads to on this machine, for names that exist nowhere
   */
  static async start(
    options: { login?: string; routes?: Record<string, number> } = {},
  ): Promise<ProxyServer> {
    const server = createServer((_, response) => void response.writeHead(405).end());
    const proxy = new ProxyServer(server, options.login, new Map(Object.entries(options.routes ?? {})));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // a TCP server that listens has one
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #tunnel(request: IncomingMessage, client: Socket): void {
    const target = request.url ?? '';
    this.asked.push(target);
    client.on('error', () => client.destroy());
    this.#sockets.add(client);
    const expected =
      this.#login === undefined ? undefined : `Basic ${Buffer.from(this.#login).toString('base64')}`;
    if (expected !== undefined && request.headers['proxy-authorization'] !== expected) {
      client.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
      );
      return;
    }
    const [host = '', port = ''] = target.split(':');
    const route = this.#routes.get(target);
    const server = connect(route ?? Number(port), route === undefined ? host : '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      server.pipe(client).pipe(server);
    });
    this.#sockets.add(server);
    server.on('error', () => client.destroy());
  }
}
