import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';

import type { LoadedFunction } from '../bindings.ts';
import type { HostJson } from '../host-json.ts';
import { listen } from '../http/server.ts';
import type { Invoke } from '../invoke.ts';
import { describeError, type Logger } from '../log.ts';
import { createAppFunctions } from './app-functions.ts';
import type { ManagementUrls } from './client-binding.ts';
import { Engine } from './engine.ts';
import { ManagementApi } from './management-api.ts';
import { createPatience } from './storage-errors.ts';
import { TaskHub } from './task-hub.ts';

/** How long a stopping host waits for the steps that are being committed; a lost one is taken again. */
const closeTimeoutMs = 3_000;

/** The running orchestrations of an app. */
export type Durable = {
  urls: ManagementUrls;
  /** Answers a management request that came to the host's public address. */
  handlePublic(request: IncomingMessage, response: ServerResponse, path: string): Promise<void>;
  /** Goes on with what had not ended; called once functions can be invoked. */
  resume(): Promise<void>;
  close(): Promise<void>;
};

/** Where the app's own durable clients are served: on the loopback interface, under a path nobody can guess. */
export async function startDurable(options: {
  functions: LoadedFunction[];
  invoke: Invoke;
  hostJson: HostJson;
  connectionString: string;
  publicOrigin: string;
  systemKey: string;
  log: Logger;
}): Promise<Durable> {
  const { durableTask } = options.hostJson.extensions;
  const stopping = new AbortController();
  const patience = createPatience(stopping.signal, options.log);
  const hub = new TaskHub(options.connectionString, durableTask.hubName, patience);
  await hub.ensure();
  const engine = new Engine({
    hub,
    functions: createAppFunctions(options.functions, options.invoke),
    log: options.log,
    maxActivities: durableTask.maxConcurrentActivityFunctions,
    maxOrchestrators: durableTask.maxConcurrentOrchestratorFunctions,
  });
  const secretPath = `/durabletask/${randomBytes(16).toString('hex')}/`;
  const api = new ManagementApi(engine, () => urls);
  const server = await listen({
    host: '127.0.0.1',
    port: 0,
    handle: async (request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      if (path.startsWith(secretPath)) await api.handle(request, response, path.slice(secretPath.length));
      else response.writeHead(404).end();
    },
    onError: (error) => options.log('error', 'Host.Durable', describeError(error)),
  });
  const urls: ManagementUrls = {
    hubName: durableTask.hubName,
    rpcBaseUrl: `http://127.0.0.1:${server.port}${secretPath}`,
    publicBaseUrl: `${options.publicOrigin}/runtime/webhooks/durabletask`,
    systemKey: options.systemKey,
  };
  return {
    urls,
    handlePublic: (request, response, path) => api.handle(request, response, path),
    resume: () => engine.resume(),
    async close() {
      await server.close();
      await Promise.race([engine.close(), delay(closeTimeoutMs, undefined, { ref: false })]);
      stopping.abort();
    },
  };
}
