import { Agent, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { VSphereError } from './vsphere-error.ts';

/** Where a server is and which certificate it must show. */
export interface PinnedServer {
  host: string;
  port: number;
  /** SHA-256 of the certificate as upper case hex with colons; without it the first certificate seen is taken. */
  fingerprint?: string | undefined;
  connectTimeoutMs: number;
}

type Connected = (error: Error | null, stream: Duplex) => void;

/**
 * Connections to one server whose certificate is known by its fingerprint, not by an authority: vCenter and ESXi
 * come with certificates of their own. The fingerprint is compared before the socket is handed to the request, so
 * a server with another certificate never sees a byte of it.
 */
export class PinnedAgent extends Agent {
  readonly #server: PinnedServer;
  #fingerprint: string | undefined;

  constructor(server: PinnedServer) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#server = server;
    this.#fingerprint = server.fingerprint;
  }

  /** The certificate's fingerprint: the pinned one, or the first seen; undefined until then. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  override createConnection(_options: RequestOptions, callback?: Connected): undefined {
    const { host, port, connectTimeoutMs } = this.#server;
    const socket = connect({
      host,
      port,
      // The pin decides, and decides more strictly than any authority could.
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    const timer = setTimeout(() => {
      socket.destroy(
        new VSphereError(
          'Unreachable',
          `No connection to ${host}:${port} within ${connectTimeoutMs / 1000} s`,
        ),
      );
    }, connectTimeoutMs);
    const settle = (error: Error | null): void => {
      clearTimeout(timer);
      socket.off('error', settle);
      if (error !== null) socket.destroy();
      callback?.(error, socket);
    };
    socket.once('error', settle);
    socket.once('secureConnect', () => settle(this.#check(socket)));
  }

  #check(socket: TLSSocket): VSphereError | null {
    const presented = socket.getPeerX509Certificate()?.fingerprint256;
    const { host, port } = this.#server;
    if (presented === undefined) {
      return new VSphereError('NotVSphere', `${host}:${port} shows no certificate`);
    }
    this.#fingerprint ??= presented;
    if (presented === this.#fingerprint) return null;
    return new VSphereError(
      'CertificateChanged',
      `The certificate of ${host}:${port} has changed: it was ${this.#fingerprint} and is now ${presented}`,
    );
  }
}
