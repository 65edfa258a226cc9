// The HTTP API with which durable clients reach their orchestrations.
// https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-http-api
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

import { NotSupportedError } from '../bindings.ts';
import { readBody } from '../http/body.ts';
import { readQuery, splitTarget } from '../http/request-data.ts';
import { managementUrlsOf, type ManagementUrls } from './client-binding.ts';
import { InstanceExistsError, UnknownOrchestratorError, type Delivery, type Engine } from './engine.ts';
import { EventType, historyEvent, type HistoryEvent } from './history.ts';
import { isFinal, type InstanceState } from './instance.ts';
import { InstanceFilter } from './instance-filter.ts';

type Call = {
  request: IncomingMessage;
  response: ServerResponse;
  path: string[];
  query: Map<string, string>;
};

/** How long a request waits while storage is away. */
const answerTimeoutMs = 10_000;

/** Storage did not answer in time. What was asked for may still be done. */
class StorageAwayError extends Error {}

/** Instances that a list without `top` reads at a time. */
const listPageSize = 500;

/** Answers management requests, whose paths come after the base URL. */
export class ManagementApi {
  readonly #engine: Engine;
  readonly #urls: () => ManagementUrls;

  constructor(engine: Engine, urls: () => ManagementUrls) {
    this.#engine = engine;
    this.#urls = urls;
  }

  /** Answers one request. `path` is what follows the base URL in the request's path, still percent-encoded. */
  async handle(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const segments = decodePath(path);
    const { query } = splitTarget(request.url ?? '/');
    if (segments === undefined) {
      answer(response, 400, { Message: 'The path has an escape that is none' });
      return;
    }
    const call: Call = { request, response, path: segments, query: readQuery(query) };
    try {
      await answerInTime(this.#route(call));
    } catch (error) {
      if (error instanceof NotSupportedError) {
        // The client shows this text as it is.
        response.writeHead(501, { 'content-type': 'text/plain; charset=utf-8' }).end(error.message);
        return;
      }
      const status = statusOf(error);
      if (status === undefined) throw error;
      answer(response, status, { Message: (error as Error).message });
    }
  }

  async #route(call: Call): Promise<void> {
    const [root, , verb] = call.path;
    if (root === 'entities') throw new NotSupportedError("the durable client's entities");
    if (root === 'orchestrators' && call.request.method === 'POST') return this.#start(call);
    if (root !== 'instances') return answer(call.response, 404);
    if (verb === 'rewind' || verb === 'restart') throw new NotSupportedError(`the durable client's ${verb}`);
    return this.#routeInstance(call);
  }

  async #routeInstance(call: Call): Promise<void> {
    const [, instanceId = '', verb = ''] = call.path;
    switch (`${call.request.method}${verb === '' ? '' : ' verb'}`) {
      case 'POST verb':
        return this.#send(call, instanceId, verb);
      case 'GET':
        return instanceId === '' ? this.#list(call) : this.#status(call, instanceId);
      case 'DELETE':
        return instanceId === '' ? this.#purgeBy(call) : this.#purge(call, instanceId);
      default:
        return answer(call.response, 404);
    }
  }

  async #start(call: Call): Promise<void> {
    const [, name = '', wished = ''] = call.path;
    const instanceId = wished === '' ? randomUUID().replaceAll('-', '') : wished;
    const problem = problemOfInstanceId(instanceId);
    if (problem !== undefined) return answer(call.response, 400, { Message: problem });
    const input = await readJson(call);
    if (input === undefined) return undefined;
    await this.#engine.start({ name, instanceId, input: input.text, version: call.query.get('version') });
    const urls = managementUrlsOf(this.#urls(), instanceId);
    const headers = { location: urls['statusQueryGetUri'] ?? '', 'retry-after': '10' };
    return answer(call.response, 202, urls, headers);
  }

  async #status(call: Call, instanceId: string): Promise<void> {
    const state = await this.#engine.find(instanceId);
    if (state === undefined) return answer(call.response, 404);
    const payload: Record<string, unknown> = statusPayload(state, call.query.get('showInput') !== 'false');
    if (call.query.get('showHistory') === 'true') {
      const withOutput = call.query.get('showHistoryOutput') === 'true';
      payload['historyEvents'] = (await this.#engine.history(instanceId)).map((event) =>
        historyPayload(event, withOutput),
      );
    }
    const failed =
      state.status === 'Failed' && call.query.get('returnInternalServerErrorOnFailure') === 'true';
    if (isFinal(state.status)) return answer(call.response, failed ? 500 : 200, payload);
    return answer(call.response, 202, payload, { 'retry-after': '5' });
  }

  async #list(call: Call): Promise<void> {
    const filter = new InstanceFilter(call.query);
    const top = Number(call.query.get('top') ?? 0);
    const token = call.request.headers['x-ms-continuation-token'];
    const page = await this.#engine.list({
      pageSize: top > 0 ? Math.min(top, listPageSize) : listPageSize,
      continuationToken: typeof token === 'string' && token !== '' ? token : undefined,
    });
    const showInput = call.query.get('showInput') !== 'false';
    const found = page.instances
      .filter(({ state }) => filter.accepts(state))
      .map(({ state }) => statusPayload(state, showInput));
    const { continuationToken } = page;
    const headers = continuationToken === undefined ? {} : { 'x-ms-continuation-token': continuationToken };
    return answer(call.response, 200, found, headers);
  }

  async #purge(call: Call, instanceId: string): Promise<void> {
    if ((await this.#engine.find(instanceId)) === undefined) return answer(call.response, 404);
    const isPurged = await this.#engine.purge(instanceId);
    return answer(call.response, 200, { instancesDeleted: isPurged ? 1 : 0 });
  }

  async #purgeBy(call: Call): Promise<void> {
    const filter = new InstanceFilter(call.query);
    if (!filter.hasCreatedTimeFrom) {
      return answer(call.response, 400, { Message: "Please provide value for 'createdTimeFrom' parameter." });
    }
    let instancesDeleted = 0;
    let continuationToken: string | undefined;
    do {
      const page = await this.#engine.list({ continuationToken });
      continuationToken = page.continuationToken;
      for (const { state } of page.instances) {
        if (filter.accepts(state) && (await this.#engine.purge(state.instanceId))) instancesDeleted += 1;
      }
    } while (continuationToken !== undefined);
    return instancesDeleted === 0
      ? answer(call.response, 404)
      : answer(call.response, 200, { instancesDeleted });
  }

  async #send(call: Call, instanceId: string, verb: string): Promise<void> {
    const event = await eventOf(call, verb);
    if (event === undefined) return undefined;
    const statuses: Record<Delivery, number> = { accepted: 202, unknown: 404, ended: 410 };
    return answer(call.response, statuses[await this.#engine.send(instanceId, event)]);
  }
}

/** The event that a request stands for; undefined when it has been answered. */
async function eventOf(call: Call, verb: string): Promise<HistoryEvent | undefined> {
  const Reason = call.query.get('reason') ?? '';
  switch (verb) {
    case 'raiseEvent': {
      const Name = call.path[3] ?? '';
      const input = Name === '' ? answer(call.response, 404) : await readJson(call);
      return input === undefined ? undefined : historyEvent('EventRaised', { Name, Input: input.text });
    }
    case 'terminate':
      return historyEvent('ExecutionTerminated', { Reason });
    case 'suspend':
      return historyEvent('ExecutionSuspended', { Reason });
    case 'resume':
      return historyEvent('ExecutionResumed', { Reason });
    default:
      return answer(call.response, 404);
  }
}

/** The request's body, JSON or nothing. Answers 400 and returns undefined when it is neither. */
async function readJson(call: Call): Promise<{ text: string | null } | undefined> {
  const body = await readBody(call.request, call.response);
  if (body === undefined) return undefined;
  const text = body.toString('utf8');
  if (text.trim() === '') return { text: null };
  try {
    JSON.parse(text);
    return { text };
  } catch {
    return answer(call.response, 400, { Message: 'Invalid JSON content' });
  }
}

function answer(
  response: ServerResponse,
  status: number,
  body?: unknown,
  headers: Record<string, string> = {},
): undefined {
  // A request that has been told to come again may still be carried out, with nobody left to be told.
  if (response.headersSent) return undefined;
  const text = body === undefined ? '' : JSON.stringify(body);
  const type = body === undefined ? {} : { 'content-type': 'application/json; charset=utf-8' };
  response.writeHead(status, { ...headers, ...type, 'content-length': Buffer.byteLength(text) }).end(text);
  return undefined;
}

async function answerInTime(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new StorageAwayError('the storage of the task hub does not answer; try again later')),
      answerTimeoutMs,
    );
  });
  try {
    await Promise.race([work, expired]);
  } finally {
    clearTimeout(timer);
  }
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof StorageAwayError) return 503;
  if (error instanceof UnknownOrchestratorError) return 400;
  return error instanceof InstanceExistsError ? 500 : undefined;
}

function decodePath(path: string): string[] | undefined {
  try {
    return path.split('/').map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

/** What keeps an instance id from being one. The limits are the real extension's. */
function problemOfInstanceId(instanceId: string): string | undefined {
  if (instanceId.length > 100) return 'Instance IDs must not exceed 100 characters';
  if (instanceId.startsWith('@')) return 'Orchestration instance IDs must not start with @';
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[/\\#?\u0000-\u001f\u007f-\u009f]/.test(instanceId)) {
    return 'Instance IDs must not contain /, \\, #, ?, or control characters';
  }
  return undefined;
}

function statusPayload(state: InstanceState, showInput: boolean): Record<string, unknown> {
  return {
    name: state.name,
    instanceId: state.instanceId,
    runtimeStatus: state.status,
    input: showInput ? parsed(state.input) : null,
    customStatus: parsed(state.customStatus),
    output: parsed(state.output),
    createdTime: state.createdAt,
    lastUpdatedTime: state.updatedAt,
  };
}

function parsed(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}

function historyPayload(event: HistoryEvent, withOutput: boolean): Record<string, unknown> {
  const name = Object.entries(EventType).find(([, number]) => number === event.EventType)?.[0];
  const { IsPlayed: _played, EventId: _id, Result, Input: _input, ...rest } = event;
  return {
    ...rest,
    EventType: name,
    ...(withOutput && Result !== undefined ? { Result: parsed(Result) } : {}),
  };
}
