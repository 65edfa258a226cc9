import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { CertifiedKey } from '../../shared/certificate.ts';
import { DomainError } from '../../shared/fault.ts';
import {
  AgentReport,
  CycleCommit,
  CycleProgress,
  CycleRequest,
  EnrolmentChallengeRequest,
  EnrolmentRequest,
  extentLimits,
  type AgentWork,
  type CycleAnswer,
} from '../../shared/wire/agent.ts';
import type { AgentRegistry } from './agent-registry.ts';
import type { Enrolment } from './enrolment.ts';
import { parse, readJson, sendError, sendJson } from './http.ts';

/** What an enrolled agent may ask for; `biosUuid` is proven by its certificate. */
export interface AgentCalls {
  work(
    biosUuid: string,
    report: AgentReport,
    address: string,
    wait: { seconds: number; known: string; signal: AbortSignal },
  ): Promise<AgentWork>;
  begin(biosUuid: string, protectedItemId: string, request: CycleRequest): Promise<CycleAnswer>;
  /** Takes the request's body; resolves to the number of extents when all of them are durable. */
  extents(cycle: CycleRef, body: IncomingMessage, progress: CycleProgress): Promise<number>;
  commit(cycle: CycleRef, commit: CycleCommit): Promise<number>;
}

export interface CycleRef {
  biosUuid: string;
  protectedItemId: string;
  cycleId: string;
}

const waitSecondsAtMost = 50;
const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const cyclesPath = new RegExp(`^/v1/items/(${uuid})/cycles$`, 'u');
const cyclePath = new RegExp(`^/v1/items/(${uuid})/cycles/(${uuid})/(extents|commit)$`, 'u');

/** The HTTPS server on port 9443. Paths and shapes: shared/wire/agent.ts. */
export function createAgentServer(options: {
  authority: CertifiedKey;
  server: CertifiedKey;
  enrolment: Enrolment;
  agents: AgentRegistry;
  calls: AgentCalls;
  onBug: (error: unknown) => void;
}): Server {
  const { onBug } = options;
  const server = createServer(
    {
      ...secureContext(options),
      requestCert: true,
      // Enrolment comes without a certificate; every other path demands one below.
      rejectUnauthorized: false,
      requestTimeout: 10 * 60_000,
      headersTimeout: 30_000,
      keepAliveTimeout: 75_000,
    },
    (request, response) => {
      handle(options, request, response).catch((error: unknown) => {
        if (!sendError(response, error)) onBug(error);
      });
    },
  );
  server.maxConnections = 4_096;
  return server;
}

/** Shows another certificate from the next connection on. */
export function showCertificate(
  server: Server,
  keys: { authority: CertifiedKey; server: CertifiedKey },
): void {
  server.setSecureContext(secureContext(keys));
}

function secureContext({ authority, server }: { authority: CertifiedKey; server: CertifiedKey }) {
  return {
    key: server.privateKeyPem,
    cert: server.certificatePem,
    ca: authority.certificatePem,
    minVersion: 'TLSv1.3',
  } as const;
}

type Parts = Parameters<typeof createAgentServer>[0];

async function handle(parts: Parts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://process-server');
  const address = request.socket.remoteAddress ?? '';
  if (request.method !== 'POST') throw unknownPath();
  if (url.pathname === '/v1/enrolment/challenge') {
    const challenge = await readJson(request, EnrolmentChallengeRequest);
    return sendJson(response, 200, parts.enrolment.challenge(challenge, address));
  }
  if (url.pathname === '/v1/enrolment') {
    return sendJson(
      response,
      200,
      await parts.enrolment.enrol(await readJson(request, EnrolmentRequest), address),
    );
  }
  const biosUuid = requireAgent(parts.agents, request.socket as TLSSocket); // an HTTPS server's sockets are
  if (url.pathname === '/v1/work') return work(parts, { request, response, url, biosUuid, address });
  return cycles(parts.calls, { request, response, path: url.pathname, biosUuid });
}

async function cycles(
  calls: AgentCalls,
  call: { request: IncomingMessage; response: ServerResponse; path: string; biosUuid: string },
): Promise<void> {
  const { request, response, biosUuid } = call;
  const begun = cyclesPath.exec(call.path)?.[1];
  if (begun) {
    return sendJson(response, 200, await calls.begin(biosUuid, begun, await readJson(request, CycleRequest)));
  }
  const [, protectedItemId, cycleId, action] = cyclePath.exec(call.path) ?? [];
  if (!protectedItemId || !cycleId) throw unknownPath();
  const cycle = { biosUuid, protectedItemId, cycleId };
  if (action === 'commit') {
    const pointSequence = await calls.commit(cycle, await readJson(request, CycleCommit));
    return sendJson(response, 200, { pointSequence });
  }
  if (Number(request.headers['content-length'] ?? Infinity) > extentLimits.bodyBytes) {
    throw new DomainError({
      code: 'RequestTooLarge',
      message: `A body of extents has to tell its length, ${extentLimits.bodyBytes} bytes at most.`,
    });
  }
  const progress = parse(CycleProgress, String(request.headers['secondsite-progress'] ?? '{"disks":[]}'));
  return sendJson(response, 200, { extents: await calls.extents(cycle, request, progress) });
}

async function work(
  parts: Parts,
  call: { request: IncomingMessage; response: ServerResponse; url: URL; biosUuid: string; address: string },
): Promise<void> {
  const report = await readJson(call.request, AgentReport);
  const wanted = Number(call.url.searchParams.get('waitSeconds') ?? '0');
  const gone = new AbortController();
  call.response.on('close', () => gone.abort());
  const seconds = Number.isFinite(wanted) ? Math.min(Math.max(wanted, 0), waitSecondsAtMost) : 0;
  const wait = { seconds, known: call.url.searchParams.get('known') ?? '', signal: gone.signal };
  sendJson(call.response, 200, await parts.calls.work(call.biosUuid, report, call.address, wait));
}

/** @throws DomainError AuthenticationFailed without a certificate of ours that is the machine's newest */
function requireAgent(agents: AgentRegistry, socket: TLSSocket): string {
  const certificate = socket.getPeerCertificate();
  const biosUuid = certificate.subject?.CN;
  if (
    socket.authorized &&
    typeof biosUuid === 'string' &&
    agents.accepts(biosUuid, certificate.serialNumber)
  ) {
    return biosUuid;
  }
  throw new DomainError({
    code: 'AuthenticationFailed',
    message: 'This process server does not know the certificate of the mobility agent.',
    recommendedAction: "Enrol the agent again with 'secondsite agent enrol'.",
  });
}

function unknownPath(): DomainError {
  return new DomainError({ code: 'ResourceNotFound', message: 'The process server has no such call.' });
}
