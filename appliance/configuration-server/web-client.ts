import { Agent as HttpAgent, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { z } from 'zod';
import { MiB } from '../../shared/bytes.ts';
import { DomainError, Fault } from '../../shared/fault.ts';
import { proxyEnvOf, type Proxy } from './outbound.ts';

/** An answer, read whole. */
export interface WebAnswer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  text: string;
}

/** One request. */
export interface WebRequest {
  method: 'GET' | 'POST' | 'PUT';
  url: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  signal?: AbortSignal | undefined;
}

const timeoutMs = 30_000;
const answerLimitBytes = 4 * MiB;

/**
 * Speaks to the vault's services over https, through a proxy where there is one. Trusts the CA of the registration key
 * alone where it names one.
 */
export class WebClient {
  readonly #plain: HttpAgent;
  readonly #secure: HttpsAgent;
  readonly #proxy: Proxy | undefined;

  /** @param proxy every request goes through it, but for those that it is to be left out for */
  constructor(caCertificatePem: string | undefined, proxy?: Proxy) {
    const proxyEnv = proxyEnvOf(proxy);
    this.#proxy = proxy;
    this.#plain = new HttpAgent({ keepAlive: true, proxyEnv });
    this.#secure = new HttpsAgent({
      keepAlive: true,
      proxyEnv,
      ...(caCertificatePem === undefined ? {} : { ca: caCertificatePem }),
    });
  }

  /** Host and port of the proxy, or undefined where there is none. */
  get proxy(): string | undefined {
    return this.#proxy === undefined ? undefined : new URL(this.#proxy.url).host;
  }

  /**
   * Sends one request and reads its answer, whatever its status.
   *
   * @throws DomainError Unavailable when there is no connection, or no whole answer within 30 seconds.
   */
  async send(request: WebRequest): Promise<WebAnswer> {
    try {
      const answer = await this.#send(request);
      if (answer.status === 407) throw new Error('the proxy wants another user and password (407)');
      return answer;
    } catch (error) {
      throw unreachable(request.url, error, this.proxy);
    }
  }

  /**
   * Posts JSON and returns the answer's.
   *
   * @throws DomainError with the fault that the service answered, or Unavailable when it answered none.
   */
  async postJson<T>(url: string, body: object, answer: z.ZodType<T>, signal?: AbortSignal): Promise<T> {
    const { status, text } = await this.send({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
      signal,
    });
    const json = parseJson(text);
    if (status < 200 || status > 299) throw new DomainError(faultOfAnswer(url, status, json));
    const parsed = answer.safeParse(json);
    if (parsed.success) return parsed.data;
    throw new DomainError({
      code: 'Unavailable',
      message:
        `${hostOf(url)} answered in a form that this version does not know: ${z.prettifyError(parsed.error)}`.slice(
          0,
          4_000,
        ),
      recommendedAction:
        'Check that the address is that of Secondsite, and that both sides are of the same version.',
    });
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }

  #send(request: WebRequest): Promise<WebAnswer> {
    const url = new URL(request.url);
    const secure = url.protocol === 'https:';
    return new Promise((resolve, reject) => {
      const call = (secure ? requestHttps : requestHttp)(url, {
        method: request.method,
        headers: { ...request.headers, ...lengthOf(request.body) },
        signal: AbortSignal.any([
          AbortSignal.timeout(timeoutMs),
          ...(request.signal === undefined ? [] : [request.signal]),
        ]),
        agent: secure ? this.#secure : this.#plain,
      });
      call.on('error', reject);
      call.on('response', (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > answerLimitBytes) response.destroy(new Error('The answer is larger than 4 MiB'));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      });
      call.end(request.body);
    });
  }
}

function lengthOf(body: WebRequest['body']): Record<string, number> {
  return body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
}

function unreachable(url: string, error: unknown, proxy: string | undefined): DomainError {
  const reason = error instanceof Error ? (error.message === '' ? error.name : error.message) : String(error);
  const throughProxy = proxy !== undefined && /tunnel|proxy/iu.test(reason);
  const untrusted = /certificate|self[- ]signed|issuer/iu.test(reason);
  return new DomainError(
    {
      code: 'Unavailable',
      message: `${hostOf(url)} can't be reached: ${reason}.`,
      target: hostOf(url),
      recommendedAction: adviceFor({ untrusted, throughProxy }),
    },
    { cause: error },
  );
}

function adviceFor({ untrusted, throughProxy }: { untrusted: boolean; throughProxy: boolean }): string {
  if (throughProxy) {
    return 'Check the proxy’s address, port, user and password, and that it lets HTTPS through to that address.';
  }
  return untrusted
    ? 'Its certificate is not trusted: get a new registration key from the vault, which names the certificate authority, and check that nothing between here and there breaks TLS open.'
    : 'Check the network, name resolution and firewall between this machine and that address.';
}

const codes: Partial<Record<number, Fault['code']>> = {
  400: 'InvalidRequest',
  401: 'AuthenticationFailed',
  403: 'AuthorizationFailed',
  404: 'ResourceNotFound',
  409: 'Conflict',
  413: 'RequestTooLarge',
  429: 'TooManyRequests',
};

const ErrorEnvelope = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    innererror: z
      .object({
        code: z.string(),
        possibleCauses: z.string().optional(),
        recommendedAction: z.string().optional(),
      })
      .partial()
      .nullish(),
  }),
});

/** The service's own fault from its error envelope; unknown codes are understood by the status. */
function faultOfAnswer(url: string, status: number, json: unknown): Fault {
  const byStatus = codes[status] ?? (status >= 500 ? 'Unavailable' : 'InvalidRequest');
  const envelope = ErrorEnvelope.safeParse(json);
  if (!envelope.success) {
    const message = `${hostOf(url)} answered with status ${status} and no explanation.`;
    return { code: byStatus, message, target: hostOf(url) };
  }
  const { code, message, innererror } = envelope.data.error;
  const own = Fault.shape.code.safeParse(innererror?.code ?? code);
  const { possibleCauses, recommendedAction } = innererror ?? {};
  // the envelope's message ends with the advice, for clients that show nothing else
  const told = recommendedAction === undefined ? message : message.replace(recommendedAction, '').trim();
  return {
    code: own.success ? own.data : byStatus,
    message: told.slice(0, 4_000),
    ...(possibleCauses === undefined ? {} : { possibleCauses: possibleCauses.slice(0, 4_000) }),
    ...(recommendedAction === undefined ? {} : { recommendedAction: recommendedAction.slice(0, 4_000) }),
  };
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
