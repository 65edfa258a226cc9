import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';

/** Where Service Bus takes WebSockets, and the subprotocol that they carry AMQP by. */
const PATH = '/$servicebus/websocket';
const SUBPROTOCOL = 'AMQPWSB10';
/** A client that does not answer the goodbye is cut off then. */
const CLOSE_GRACE_MS = 1000;

/**
 * AMQP over WebSocket with TLS, the way through firewalls and proxies that only know HTTPS:
 * https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#connections-and-sessions
 */
export class WebSocketListener {
  readonly #server: Server;
  readonly #sockets: WebSocketServer;

  /** @param serve gets the stream of AMQP's bytes of each connection */
  constructor(tls: { key: string; cert: string }, serve: (stream: Duplex) => void) {
    this.#server = createServer(tls, (_, response) => {
      response.writeHead(426, { connection: 'close', 'content-type': 'text/plain' });
      response.end(`AMQP is served over WebSocket at ${PATH}.\n`);
    });
    this.#sockets = new WebSocketServer({
      server: this.#server,
      path: PATH,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    });
    this.#sockets.on('connection', (socket) => {
      if (socket.protocol !== SUBPROTOCOL) {
        socket.close(1002, `The subprotocol ${SUBPROTOCOL} is required.`);
        return;
      }
      serve(createWebSocketStream(socket));
    });
  }

  /** Goes on with a TCP connection whose first bytes are TLS's. */
  take(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  /** Says goodbye to all. */
  close(): void {
    for (const socket of this.#sockets.clients) {
      socket.close(1001, 'The broker is stopping.');
      setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref();
    }
    this.#server.closeIdleConnections();
  }
}
