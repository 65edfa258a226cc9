import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A door before a server of this machine: it counts what comes out, and can be held shut in the midst of an answer. */
export class Gate {
  readonly #server: Server;
  readonly #outgoing = new Set<Socket>();
  #isHeld = false;
  #passedBytes = 0;
  #limit: { bytes: number; reached: () => void } | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(port: number): Promise<Gate> {
    const server = createServer();
    const gate = new Gate(server);
    server.on('connection', (client) => gate.#lead(client, port));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // a TCP server that listens has one
  }

  /** Lets this many more bytes of answers through, then none; resolves when that is reached. */
  async holdAfter(bytes: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#limit = { bytes: this.#passedBytes + bytes, reached: resolve };
    await promise;
  }

  /** Lets nothing more out: a link that is silent and not cut. */
  hold(): void {
    this.#isHeld = true;
    for (const socket of this.#outgoing) socket.pause();
  }

  release(): void {
    this.#isHeld = false;
    for (const socket of this.#outgoing) socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#outgoing) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #lead(client: Socket, port: number): void {
    const service = connect(port, '127.0.0.1');
    this.#outgoing.add(service);
    client.pipe(service);
    client.on('error', () => service.destroy());
    client.on('close', () => service.destroy());
    service.on('error', () => client.destroy());
    service.on('close', () => {
      this.#outgoing.delete(service);
      client.destroy();
    });
    if (this.#isHeld) service.pause();
    service.on('data', (chunk: Buffer) => {
      this.#passedBytes += chunk.length;
      client.write(chunk);
      if (this.#limit !== undefined && this.#passedBytes >= this.#limit.bytes) {
        this.#isHeld = true;
        this.#limit.reached();
        this.#limit = undefined;
      }
      if (this.#isHeld) service.pause();
    });
  }
}
