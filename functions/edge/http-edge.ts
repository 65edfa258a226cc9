/** Every HTTP request comes in here: who asks, may they, what do they say; and what is answered when it fails. */
import { randomUUID } from 'node:crypto';
import {
  type HttpMethod,
  type HttpRequest,
  type HttpResponseInit,
  type InvocationContext,
  app,
} from '@azure/functions';
import * as df from 'durable-functions';
import { z } from 'zod';
import { actionOf } from '../../shared/access/action.ts';
import { isAllowed } from '../../shared/access/roles.ts';
import { type VaultRef } from '../../shared/arm/resource-id.ts';
import { DomainError } from '../../shared/fault.ts';
import { services } from '../services.ts';
import { auditRequest, isReading } from './audit.ts';
import { type Caller } from './authenticate.ts';
import { answerOfFault } from './http-fault.ts';
import { JsonText } from './json-text.ts';
import { packedBody } from './packed-body.ts';
import { readJson } from './read-body.ts';
import { type PathParameters, pathParameters, vaultRoute } from './route.ts';

/** One request, on its way to the function that does it. */
export type Call<Route extends string> = {
  /** Names from the path, decoded. */
  params: PathParameters<Route>;
  query: URLSearchParams;
  /** Scheme, host and port under which the caller knows us: what Location headers and nextLinks begin with. */
  origin: string;
  /** Whole address of the request. */
  url: URL;
  /** As the caller sent it; any is taken. */
  apiVersion: string;
  headers: HttpRequest['headers'];
  /** Who asks. Empty names for endpoints that take no bearer token. */
  caller: Caller;
  /** Reads the body. @throws InvalidRequest, RequestTooLarge. */
  json<T>(schema: z.ZodType<T>): Promise<T>;
  /** Starts and asks orchestrations; only with `durable: true`. */
  durable(): df.DurableClient;
  /** Logs a fixed sentence and ids. */
  context: InvocationContext;
};

export type Operation<Route extends string> = {
  method: HttpMethod;
  route: Route;
  /** The function starts or asks orchestrations. */
  durable?: true;
  /** False: the request carries a credential of its own in its body. */
  authenticate?: false;
  /** False: writes nothing that is worth an audit row. */
  audit?: false;
  /** The ARM action a caller needs a role for; by default that of the method and route. */
  action?: string;
};

/** An answer whose headers are still a plain object, so that more can be added. */
type EdgeAnswer = Omit<HttpResponseInit, 'headers'> & { headers?: Record<string, string> };

type Answer = { status: number; body?: unknown; headers?: Record<string, string> };

const registeredRoutes: { method: HttpMethod; route: string }[] = [];

/** The routes of all operations, for who must know them: the catch-all tells 404 from 405. */
export function routesByMethod(): readonly { method: HttpMethod; route: string }[] {
  return registeredRoutes;
}

/** Makes a function of the app that answers one HTTP operation. */
export function httpOperation<Route extends string>(
  name: string,
  operation: Operation<Route>,
  run: (call: Call<Route>) => Promise<Answer> | Answer,
): void {
  registeredRoutes.push({ method: operation.method, route: operation.route });
  app.http(name, {
    methods: [operation.method],
    route: operation.route,
    authLevel: 'anonymous',
    ...(operation.durable === true && { extraInputs: [df.input.durableClient()] }),
    handler: httpEdge(operation, run),
  });
}

/** Wraps what answers a request: nothing it throws gets past, every answer is in ARM's form. */
export function httpEdge<Route extends string>(
  operation: Operation<Route>,
  run: (call: Call<Route>) => Promise<Answer> | Answer,
): (request: HttpRequest, context: InvocationContext) => Promise<HttpResponseInit> {
  const action = operation.action ?? actionOf(operation.method, operation.route);
  return async (request, context) => {
    const known: { caller?: Caller } = {};
    const answer = await answerOf(context, async () => {
      const caller = operation.authenticate === false ? nobody : await authenticated(request);
      known.caller = caller;
      if (operation.authenticate !== false) authorize(caller, action);
      const { body, ...rest } = await run(callOf(operation.route, request, { context, caller }));
      return { ...rest, ...(body !== undefined && { jsonBody: body }) };
    });
    const headers = commonHeaders(request);
    if (known.caller !== undefined && operation.audit !== false && !isReading(request.method)) {
      const answered = {
        method: request.method,
        action,
        url: request.url,
        caller: known.caller,
        status: answer.status ?? 200,
        errorCode: errorCodeOf(answer.jsonBody),
        correlationId: headers['x-ms-correlation-request-id'] ?? '',
        vault: findVault(operation.route, request),
      };
      await auditRequest(answered, context);
    }
    return written(answer, request, headers);
  };
}

/** The answer as the library takes it. A body is text here: for a `jsonBody` the library makes the headers twice. */
async function written(
  { jsonBody, ...answer }: EdgeAnswer,
  request: HttpRequest,
  common: Record<string, string>,
): Promise<HttpResponseInit> {
  const headers = { ...common, ...answer.headers };
  if (jsonBody === undefined) return { ...answer, headers };
  const text = jsonBody instanceof JsonText ? jsonBody.text : JSON.stringify(jsonBody);
  const packed = await packedBody(text, request.headers.get('accept-encoding'));
  const type = { 'content-type': 'application/json' };
  return { ...answer, body: packed.body, headers: { ...type, ...headers, ...packed.headers } };
}

const nobody: Caller = { objectId: '', tenantId: '', name: '', roles: [] };

/** @throws AuthenticationFailed, TooManyRequests */
async function authenticated(request: HttpRequest): Promise<Caller> {
  const caller = await services().checkBearerToken(request.headers.get('authorization'));
  if (services().callerLimit.take(`${caller.tenantId}/${caller.objectId}`, Date.now())) return caller;
  throw new DomainError({
    code: 'TooManyRequests',
    message: `The client '${caller.name}' sends more requests than one caller may.`,
    recommendedAction: 'Wait as long as Retry-After says, then repeat the request.',
  });
}

/** @throws AuthorizationFailed */
function authorize(caller: Caller, action: string): void {
  if (isAllowed(caller.roles, action)) return;
  throw new DomainError({
    code: 'AuthorizationFailed',
    message: `The client '${caller.name}' with object id '${caller.objectId}' may not perform the action '${action}'.`,
    recommendedAction: 'Ask an administrator for a role that allows it.',
  });
}

function callOf<Route extends string>(
  route: Route,
  request: HttpRequest,
  rest: { context: InvocationContext; caller: Caller },
): Call<Route> {
  const url = new URL(request.url);
  return {
    ...rest,
    params: pathParameters(route, url),
    query: request.query,
    url,
    origin: url.origin,
    apiVersion: (request.query.get('api-version') ?? '2023-06-01').slice(0, 40),
    headers: request.headers,
    json: (schema) => readJson(request, schema),
    durable: () => df.getClient(rest.context),
  };
}

async function answerOf(context: InvocationContext, run: () => Promise<EdgeAnswer>): Promise<EdgeAnswer> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof DomainError) {
      if (error.fault.code === 'Unavailable')
        context.warn('A dependency is unavailable.', { cause: causeOf(error) });
      return answerOfFault(error.fault);
    }
    context.error('A request ended in a bug.', error instanceof Error ? error.stack : typeof error);
    return {
      status: 500,
      jsonBody: {
        error: {
          code: 'InternalServerError',
          message: `The service made a mistake. Its log has the details under invocation id ${context.invocationId}.`,
          target: null,
          details: null,
          innererror: { invocationId: context.invocationId },
        },
      },
    };
  }
}

function errorCodeOf(body: unknown): string | undefined {
  const parsed = ErrorBody.safeParse(body);
  return parsed.success ? parsed.data.error.code : undefined;
}

const ErrorBody = z.object({ error: z.object({ code: z.string() }) });

/** The vault that a request names, when it is about one and can be read. */
function findVault(route: string, request: HttpRequest): VaultRef | undefined {
  if (!route.startsWith(vaultRoute)) return undefined;
  try {
    return vaultOf(pathParameters(route, request.url) as VaultRef);
  } catch {
    return undefined;
  }
}

function causeOf(error: DomainError): string {
  return error.cause instanceof Error ? error.cause.message : '';
}

const uuid = z.regexes.uuid();

function commonHeaders(request: HttpRequest): Record<string, string> {
  const correlation = request.headers.get('x-ms-correlation-request-id') ?? '';
  return {
    'cache-control': 'no-cache',
    pragma: 'no-cache',
    expires: '-1',
    'x-content-type-options': 'nosniff',
    'x-ms-request-id': randomUUID(),
    'x-ms-correlation-request-id': uuid.test(correlation) ? correlation : randomUUID(),
  };
}

/** The vault a request is about. */
export function vaultOf(params: VaultRef): VaultRef {
  return {
    subscriptionId: params.subscriptionId,
    resourceGroup: params.resourceGroup,
    vaultName: params.vaultName,
  };
}
