import type { IncomingMessage, ServerResponse } from 'node:http';

import type { LoadedFunction } from '../bindings.ts';
import type { Invoke } from '../invoke.ts';
import type { Timers } from '../timer/timers.ts';
import { readBody } from './body.ts';
import { isKeyAccepted, presentedKey, type HostKeys } from './keys.ts';
import { readQuery, splitTarget } from './request-data.ts';

/** Answers requests below /admin; says whether it did. */
export type AdminApi = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

/**
 * The admin endpoint that runs a function at once: POST /admin/functions/{name} with the master key and
 * `{"input": "…"}`, answered 202 before the function has ended.
 * https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
 */
export function createAdminApi(options: {
  functions: LoadedFunction[];
  keys: HostKeys;
  invoke: Invoke;
  timers: Timers;
}): AdminApi {
  return async (request, response) => {
    const { path } = splitTarget(request.url ?? '/');
    if (!/^\/admin(\/|$)/i.test(path)) return false;
    const status = await answer(request, response, options);
    if (status !== undefined) response.writeHead(status, { 'content-length': 0 }).end();
    return true;
  };
}

/** The status to answer with; undefined when the request has been answered. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: { functions: LoadedFunction[]; keys: HostKeys; invoke: Invoke; timers: Timers },
): Promise<number | undefined> {
  const { path, query } = splitTarget(request.url ?? '/');
  const [, , noun, name = ''] = path.toLowerCase().split('/');
  if (noun === 'host' && name === 'ping') return 200;
  const key = presentedKey(request.headers['x-functions-key'], readQuery(query));
  if (!isKeyAccepted(options.keys, 'admin', name, key)) return 401;
  const target = options.functions.find((known) => known.name.toLowerCase() === name);
  if (noun !== 'functions' || request.method !== 'POST' || target === undefined) return 404;
  const body = await readBody(request, response);
  if (body === undefined) return undefined;
  const input = readInput(body);
  return input !== undefined && runNow(target, input, options) ? 202 : 400;
}

/** Begins a run that nobody waits for; what it throws is in the log. Orchestrations need their engine: not these. */
function runNow(target: LoadedFunction, input: string, options: { invoke: Invoke; timers: Timers }): boolean {
  if (target.triggerType === 'timerTrigger') options.timers.runNow(target.name);
  else if (target.triggerType === 'serviceBusTrigger' || target.triggerType === 'activityTrigger') {
    options.invoke(target, { trigger: { string: input } }).catch(() => undefined);
  } else return false;
  return true;
}

function readInput(body: Buffer): string | undefined {
  if (body.length === 0) return '';
  try {
    const { input = '' } = JSON.parse(body.toString('utf8')) as { input?: unknown };
    return typeof input === 'string' ? input : JSON.stringify(input);
  } catch {
    return undefined;
  }
}
