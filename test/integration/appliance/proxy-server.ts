/** A real HTTP proxy, for CONNECT and for plain HTTP, with or without a user and password. */
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A proxy of a test. */
export class ProxyServer {
  readonly #server: Server;
  readonly #login: string | undefined;
  readonly #sockets = new Set<Duplex>();
  /** What was asked for, `host:port` each, refused ones too. */
  readonly asked: string[] = [];

  private constructor(server: Server, login: string | undefined) {
    this.#server = server;
    this.#login = login;
    server.on('connect', (incoming: IncomingMessage, client: Socket) => this.#tunnel(incoming, client));
    server.on('request', (incoming, response) => this.#forward(incoming, response));
  }

  /** @param options.login `user:password` that every request must bring */
  static async start(options: { login?: string } = {}): Promise<ProxyServer> {
    const server = createServer();
    const proxy = new ProxyServer(server, options.login);
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

  #tunnel(incoming: IncomingMessage, client: Socket): void {
    const target = incoming.url ?? '';
    this.asked.push(target);
    client.on('error', () => client.destroy());
    this.#sockets.add(client);
    if (!this.#mayPass(incoming)) {
      client.end(
        'HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
      );
      return;
    }
    const [host = '', port = ''] = target.split(':');
    const server = connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      server.pipe(client).pipe(server);
    });
    this.#sockets.add(server);
    server.on('error', () => client.destroy());
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const url = new URL(incoming.url ?? '');
    this.asked.push(url.host);
    if (!this.#mayPass(incoming)) {
      response.writeHead(407, { connection: 'close' }).end();
      return;
    }
    const { 'proxy-authorization': _login, 'proxy-connection': _connection, ...headers } = incoming.headers;
    const outgoing = request(url, { method: incoming.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  }

  #mayPass({ headers }: IncomingMessage): boolean {
    if (this.#login === undefined) return true;
    return headers['proxy-authorization'] === `Basic ${Buffer.from(this.#login).toString('base64')}`;
  }
}
