import type { IncomingMessage, ServerResponse } from 'node:http';

import { resolveSettings, type LoadedFunction } from './bindings.ts';
import { installCoreModule, type Registry } from './core-module.ts';
import type { RpcTypedData } from './core-api.ts';
import { clientBindingValue } from './durable/client-binding.ts';
import { startDurable, type Durable } from './durable/durable.ts';
import { readHostJson, type HostJson } from './host-json.ts';
import { createAdminApi } from './http/admin-api.ts';
import { createHttpFunctions } from './http/http-trigger.ts';
import { ensureHostKeys, isSameSecret, presentedKey, type HostKeys } from './http/keys.ts';
import { readQuery, splitTarget } from './http/request-data.ts';
import { listen, type ListeningServer, type RequestHandler, type TlsFiles } from './http/server.ts';
import { createInvoke } from './invoke.ts';
import { loadApp } from './load-app.ts';
import { createLogger, describeError, type Logger } from './log.ts';
import type { StartQueueTriggers } from './service-bus/queue-triggers.ts';
import { startTimers, type Timers } from './timer/timers.ts';

/** How to run a function app. */
export type FunctionsHostOptions = {
  /** Holds host.json and the package.json whose `main` is the built app. */
  appFolder: string;
  /** Keeps the host's keys. */
  dataFolder: string;
  /** The app's settings; they become environment variables of this process. */
  settings: Record<string, string>;
  /** 127.0.0.1 when not given. */
  host?: string;
  /** Any free one when not given. */
  port?: number;
  /** PEM texts; https when given. */
  tls?: TlsFiles;
  /** JSON log lines instead of plain ones. */
  logJson?: boolean;
};

/** A function app that runs. */
export type FunctionsHost = { url: string; close(): Promise<void> };

type Parts = {
  handle: RequestHandler;
  close(): Promise<void>;
};

/** Runs a function app in this process, which can run one only. @throws Error that says why it cannot be run */
export async function startFunctionsHost(options: FunctionsHostOptions): Promise<FunctionsHost> {
  Object.assign(process.env, options.settings);
  const hostJson = readHostJson(options.appFolder);
  const log = createLogger({
    levels: hostJson.logging.logLevel,
    json: options.logJson ?? false,
    write: (line) => void process.stderr.write(line),
  });
  const host = options.host ?? '127.0.0.1';
  let handle: RequestHandler = refuseUntilLoaded;
  const server = await listen({
    host,
    port: options.port ?? 0,
    tls: options.tls,
    handle: (request, response) => handle(request, response),
    // What a function threw has been logged with the function's name.
    onError: (error) => log('debug', 'Host.Http', describeError(error)),
  });
  const url = `${options.tls === undefined ? 'http' : 'https'}://${host}:${server.port}`;
  // durable-functions makes its management URLs from it.
  process.env['WEBSITE_HOSTNAME'] = `${host}:${server.port}`;
  try {
    const parts = await startParts({ options, hostJson, log, url });
    ({ handle } = parts);
    log('information', 'Host', `Listening on ${url}`);
    return { url, close: () => stop(server, parts) };
  } catch (error) {
    await server.close();
    throw error;
  }
}

async function refuseUntilLoaded(_request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(503, { 'retry-after': '1' }).end();
}

async function stop(server: ListeningServer, parts: Parts): Promise<void> {
  await server.close();
  await parts.close();
}

type Setup = { options: FunctionsHostOptions; hostJson: HostJson; log: Logger; url: string };

async function startParts({ options, hostJson, log, url }: Setup): Promise<Parts> {
  const registry = installCoreModule((level, message) => log(level, 'Host.Library', message));
  const functions = await loadApp(options.appFolder, registry);
  const keys = ensureHostKeys(options.dataFolder);
  const connectionName = connectionNameOf(hostJson);
  const connectionString = process.env[connectionName];
  let durable: Durable | undefined;
  let clientBinding: RpcTypedData | undefined;
  const invoke = createInvoke({
    registry,
    log,
    timeoutMs: hostJson.functionTimeout,
    clientBinding: () => {
      // The same for every call, once there is one.
      if (durable !== undefined) clientBinding ??= clientBindingValue(durable.urls);
      return clientBinding ?? {};
    },
  });
  // Routes are checked before anything runs.
  const handleFunctions = createHttpFunctions({
    functions,
    routePrefix: hostJson.extensions.http.routePrefix,
    keys,
    invoke,
    origin: () => url,
  });
  if (usesStorage(functions) && connectionString === undefined) {
    throw new Error(
      `the setting ${connectionName} is missing: a storage connection string for the host's own state`,
    );
  }
  if (usesDurable(functions)) {
    durable = await startDurable({
      functions,
      invoke,
      hostJson,
      connectionString: connectionString ?? '',
      publicOrigin: url,
      systemKey: keys.systemKeys['durabletask'] ?? '',
      log,
    });
    await durable.resume();
  }
  const timers = await startTimers({
    functions,
    invoke,
    hostJson,
    connectionString: connectionString ?? '',
    log,
  });
  const queues = await startQueues({ functions, invoke, settings: hostJson.extensions.serviceBus, log });
  const handleAdmin = createAdminApi({ functions, keys, invoke, timers });
  log('information', 'Host', `Loaded ${functions.length} functions from ${options.appFolder}`);
  return {
    handle: (request, response) => route({ request, response, keys, durable, handleAdmin, handleFunctions }),
    close: () => closeParts({ registry, timers, queues, durable }),
  };
}

type Queues = { close(): Promise<void> };

/** The Service Bus SDK takes a while to load: only apps that use it wait for it. */
async function startQueues(options: Parameters<StartQueueTriggers>[0]): Promise<Queues> {
  if (!options.functions.some(({ triggerType }) => triggerType === 'serviceBusTrigger')) {
    return { close: async () => undefined };
  }
  const { startQueueTriggers } = await import('./service-bus/queue-triggers.ts');
  return startQueueTriggers(options);
}

async function closeParts(parts: {
  registry: Registry;
  timers: Timers;
  queues: Queues;
  durable: Durable | undefined;
}): Promise<void> {
  await Promise.all([parts.timers.close(), parts.queues.close()]);
  await parts.durable?.close();
  for (const hook of parts.registry.hooks.appTerminate) await hook({ hookData: {} });
}

function connectionNameOf(hostJson: HostJson): string {
  const { connectionName, connectionStringName } = hostJson.extensions.durableTask.storageProvider;
  return resolveSettings(connectionName ?? connectionStringName);
}

function usesDurable(functions: LoadedFunction[]): boolean {
  return functions.some(
    ({ triggerType, clientInputs }) =>
      triggerType === 'orchestrationTrigger' || triggerType === 'activityTrigger' || clientInputs.length > 0,
  );
}

function usesStorage(functions: LoadedFunction[]): boolean {
  return usesDurable(functions) || functions.some(({ triggerType }) => triggerType === 'timerTrigger');
}

const managementPrefix = '/runtime/webhooks/durabletask/';

async function route(options: {
  request: IncomingMessage;
  response: ServerResponse;
  keys: HostKeys;
  durable: Durable | undefined;
  handleAdmin: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
  handleFunctions: (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;
}): Promise<void> {
  const { request, response, durable } = options;
  const { path, query } = splitTarget(request.url ?? '/');
  if (durable !== undefined && path.toLowerCase().startsWith(managementPrefix)) {
    const key = presentedKey(request.headers['x-functions-key'], readQuery(query)) ?? '';
    const accepted = [options.keys.systemKeys['durabletask'] ?? '', options.keys.masterKey];
    if (accepted.some((known) => known !== '' && isSameSecret(known, key))) {
      await durable.handlePublic(request, response, path.slice(managementPrefix.length));
    } else response.writeHead(401).end();
    return;
  }
  if (await options.handleAdmin(request, response)) return;
  if (await options.handleFunctions(request, response)) return;
  response.writeHead(404, { 'content-length': 0 }).end();
}
