import { Agent, request, type AgentOptions, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { DomainError, Fault, isRetryable } from '../../shared/fault.ts';
import { backOff } from './back-off.ts';

const answerBytesAtMost = 1024 * 1024;
/** No byte either way for this long: the process server is gone. */
const silenceMs = 60_000;

/** Where a process server listens and whom to trust there. */
export interface Peer {
  host: string;
  port: number;
  /** PEM of the appliance's CA; at enrolment, of the certificate that the proofs are bound to. */
  caCertificatePem: string;
  certificatePem?: string;
  privateKeyPem?: string;
}

/** One call: JSON out, or a body of buffers as they are. */
export interface Call<T> {
  path: string;
  body: unknown;
  /** Sent as it is, in place of `body`. */
  buffers?: readonly Uint8Array[];
  headers?: Record<string, string>;
  answer: z.ZodType<T>;
  signal?: AbortSignal | undefined;
}

/** Kept-alive mTLS connections to one process server. */
export class Connection {
  readonly #peer: Peer;
  readonly #agent: Agent;

  constructor(peer: Peer) {
    this.#peer = peer;
    // Given with each request, these options would get each one a connection of its own.
    this.#agent = new Agent({ keepAlive: true, maxSockets: 5, ...tlsOptions(peer) });
  }

  close(): void {
    this.#agent.destroy();
  }

  /**
   * Posts and reads the answer.
   *
   * @throws DomainError with the server's own fault, or Unavailable when it can't be reached.
   */
  async post<T>(call: Call<T>): Promise<T> {
    const { response, text } = await this.#send(call);
    const parsed = parseJson(text);
    if (response.statusCode === 200) return call.answer.parse(parsed);
    const refused = z.object({ fault: Fault }).safeParse(parsed);
    throw new DomainError(
      refused.success
        ? refused.data.fault
        : {
            code: 'Unavailable',
            message: `The process server ${this.#peer.host}:${this.#peer.port} answered with status ${response.statusCode}.`,
          },
    );
  }

  /**
   * Posts, and waits and posts again for as long as the fault is one that passes by itself.
   *
   * @param onStall told of each such fault, and of its end with undefined
   * @throws DomainError with any other fault; the signal's reason
   */
  async persist<T>(
    call: Call<T> & { signal: AbortSignal },
    onStall: (fault: Fault | undefined) => void,
  ): Promise<T> {
    for (let failures = 0; ;) {
      try {
        const answer = await this.post(call);
        if (failures > 0) onStall(undefined);
        return answer;
      } catch (error) {
        call.signal.throwIfAborted();
        if (!(error instanceof DomainError) || !isRetryable(error.fault)) throw error;
        failures += 1;
        onStall(error.fault);
        await backOff(failures, call.signal);
      }
    }
  }

  async #send<T>(call: Call<T>): Promise<{ response: IncomingMessage; text: string }> {
    const buffers = call.buffers ?? [Buffer.from(JSON.stringify(call.body))];
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    const { host, port } = this.#peer;
    const options: RequestOptions = {
      host,
      port,
      agent: this.#agent,
      method: 'POST',
      path: call.path,
      headers: {
        'content-type': call.buffers ? 'application/octet-stream' : 'application/json',
        'content-length': length,
        ...call.headers,
      },
      ...(call.signal ? { signal: call.signal } : {}),
    };
    try {
      return await exchange(options, buffers);
    } catch (cause) {
      if (call.signal?.aborted) throw cause;
      throw unreachable(this.#peer, cause);
    }
  }
}

function exchange(
  options: RequestOptions,
  buffers: readonly Uint8Array[],
): Promise<{ response: IncomingMessage; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > answerBytesAtMost) response.destroy(new Error('The answer is too long.'));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ response, text: Buffer.concat(chunks).toString('utf8') });
        // An answer that did not wait for the whole body: Node would keep the connection and never send the rest.
        if (!outgoing.writableFinished) outgoing.destroy();
      });
    });
    outgoing.on('error', reject);
    outgoing.setTimeout(silenceMs, () => outgoing.destroy(new Error('The process server fell silent.')));
    // One after the other, as fast as they are taken: TLS copies what it is given.
    pipeline(Readable.from(buffers), outgoing).catch(reject);
  });
}

function tlsOptions(peer: Peer): AgentOptions {
  return {
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
    ca: peer.caCertificatePem,
    // At enrolment what is trusted is the server's own certificate, not yet its CA.
    allowPartialTrustChain: true,
    ...(peer.certificatePem === undefined ? {} : { cert: peer.certificatePem }),
    ...(peer.privateKeyPem === undefined ? {} : { key: peer.privateKeyPem }),
    // The certificate names the appliance, not the address that this network knows it under; our own CA signs
    // servers' certificates for nothing but appliances, so the chain is the check.
    checkServerIdentity: () => undefined,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // answered below as what it is: no answer of a process server
  }
}

function unreachable(peer: Peer, cause: unknown): DomainError {
  return new DomainError(
    {
      code: 'Unavailable',
      message: `The process server ${peer.host}:${peer.port} can not be reached.`,
      recommendedAction: 'Check that the appliance runs, and that its port is open from this machine.',
    },
    { cause },
  );
}
