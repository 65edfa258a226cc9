import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';

import type { LoadedFunction } from '../bindings.ts';
import type { Invoke } from '../invoke.ts';
import { readBody } from './body.ts';
import { isKeyAccepted, presentedKey, type AuthLevel, type HostKeys } from './keys.ts';
import { readQuery, splitTarget, toRequestData } from './request-data.ts';
import { writeResponse } from './response-data.ts';
import { matchRoute, parseRoute, splitPath, type Route, type RouteValues } from './route.ts';

const HttpTrigger = z.object({
  route: z.string().optional(),
  methods: z.array(z.string()).default(['GET', 'POST']),
  authLevel: z
    .string()
    .transform((level) => level.toLowerCase())
    .pipe(z.enum(['anonymous', 'function', 'admin'])),
});

type HttpFunction = { target: LoadedFunction; route: Route; methods: Set<string>; authLevel: AuthLevel };

/** Answers a request if a function's route and method match it; says whether one did. */
export type HttpFunctions = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

/** Routes requests to the app's HTTP functions, which come in the order in which their routes are tried. */
export function createHttpFunctions(options: {
  functions: LoadedFunction[];
  routePrefix: string;
  keys: HostKeys;
  invoke: Invoke;
  origin: () => string;
}): HttpFunctions {
  const httpFunctions = options.functions
    .filter((target) => target.triggerType === 'httpTrigger')
    .map((target) => toHttpFunction(target, options.routePrefix));
  const byMethod = groupByMethod(httpFunctions);
  return async (request, response) => {
    const { path, query } = splitTarget(request.url ?? '/');
    const found = findFunction(byMethod.get(request.method ?? 'GET') ?? [], splitPath(path));
    if (found === undefined) return false;
    const { target, authLevel } = found.httpFunction;
    const key = presentedKey(request.headers['x-functions-key'], readQuery(query));
    if (!isKeyAccepted(options.keys, authLevel, target.name, key)) {
      response.writeHead(401).end();
      return true;
    }
    const body = await readBody(request, response);
    if (body === undefined) return true;
    const http = toRequestData({ request, body, origin: options.origin(), routeValues: found.routeValues });
    const { returnValue } = await options.invoke(target, { trigger: { http } });
    writeResponse(response, returnValue);
    return true;
  };
}

function toHttpFunction(target: LoadedFunction, routePrefix: string): HttpFunction {
  const options = HttpTrigger.parse(target.trigger);
  const template = `${routePrefix}/${options.route ?? target.name}`.replace(/^\/+/, '');
  const [first = ''] = template.split('/');
  if (['admin', 'runtime'].includes(first.toLowerCase())) {
    throw new Error(`function '${target.name}': routes that start with '${first}' belong to the host`);
  }
  return {
    target,
    route: parseRoute(template),
    methods: new Set(options.methods.map((method) => method.toUpperCase())),
    authLevel: options.authLevel,
  };
}

/** The functions of each method, in the order in which they are tried. */
function groupByMethod(httpFunctions: HttpFunction[]): Map<string, HttpFunction[]> {
  const methods = new Set(httpFunctions.flatMap((httpFunction) => [...httpFunction.methods]));
  return new Map(
    [...methods].map((method) => [method, httpFunctions.filter((one) => one.methods.has(method))]),
  );
}

function findFunction(
  httpFunctions: HttpFunction[],
  path: string[],
): { httpFunction: HttpFunction; routeValues: RouteValues } | undefined {
  for (const httpFunction of httpFunctions) {
    const routeValues = matchRoute(httpFunction.route, path);
    if (routeValues !== undefined) return { httpFunction, routeValues };
  }
  return undefined;
}
