import Module, { createRequire } from 'node:module';

import type {
  FunctionHandler,
  FunctionMetadata,
  HookHandler,
  ProgrammingModel,
  SeamLevel,
} from './core-api.ts';

const hookNames = ['appStart', 'appTerminate', 'preInvocation', 'postInvocation', 'log'] as const;

/** A moment at which an app may hook in. */
export type HookName = (typeof hookNames)[number];

/** A function of the app: what it said of it, and its handler. */
export type RegisteredFunction = { metadata: FunctionMetadata; handler: FunctionHandler };

/** What the app has registered through the seam. Registration closes once the app has started. */
export type Registry = {
  functions: Map<string, RegisteredFunction>;
  hooks: Record<HookName, HookHandler[]>;
  model: ProgrammingModel | undefined;
  locked: boolean;
};

/** The seam refuses what the app asks of it; the message says what and why. */
export class SeamError extends Error {
  readonly isAzureFunctionsSystemError = true;
}

const virtualModule = '@azure/functions-core';

type Require = (this: unknown, id: string) => unknown;

/**
 * Makes `require('@azure/functions-core')` find the host for as long as the process lives. That module is on no
 * disk: the host's worker puts it in the way of `require`, and `@azure/functions` looks for it there only.
 */
export function installCoreModule(log: (level: SeamLevel, message: string) => void): Registry {
  const registry: Registry = {
    functions: new Map(),
    hooks: { appStart: [], appTerminate: [], preInvocation: [], postInvocation: [], log: [] },
    model: undefined,
    locked: false,
  };
  const seam = createSeam(registry, log);
  const prototype = Module.prototype as unknown as { require: Require };
  const original = prototype.require;
  prototype.require = function requireWithSeam(this: unknown, id: string): unknown {
    return id === virtualModule ? seam : original.call(this, id);
  };
  return registry;
}

class Disposable {
  readonly #dispose: () => void;

  constructor(dispose: () => void) {
    this.#dispose = dispose;
  }

  static from(...others: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => {
      for (const other of others) other.dispose();
    });
  }

  dispose(): void {
    this.#dispose();
  }
}

function createSeam(registry: Registry, log: (level: SeamLevel, message: string) => void): object {
  return {
    version: '3.13.0',
    hostVersion: '4.1046.100',
    Disposable,
    registerFunction: (metadata: FunctionMetadata, handler: FunctionHandler) =>
      registerFunction(registry, metadata, handler),
    registerHook: (name: string, handler: HookHandler) => registerHook(registry, name, handler),
    setProgrammingModel: (model: ProgrammingModel) => {
      if (registry.model !== undefined) {
        throw new SeamError(
          'two copies of @azure/functions are loaded: the app and its libraries must share one; ' +
            'run `npm ls @azure/functions`, and do not bundle it into an ES module',
        );
      }
      registry.model = model;
    },
    getProgrammingModel: () => registry.model,
    log: (level: SeamLevel, _category: string, message: string) => log(level, message),
  };
}

function registerFunction(
  registry: Registry,
  metadata: FunctionMetadata,
  handler: FunctionHandler,
): Disposable {
  const { name } = metadata;
  if (registry.locked) throw new SeamError(`function '${name}' is registered after the app has started`);
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,126}$/.test(name)) {
    throw new SeamError(
      `'${name}' is no function name: a letter, then letters, digits, '_' and '-', at most 127 characters`,
    );
  }
  const key = name.toLowerCase();
  if (registry.functions.has(key)) throw new SeamError(`function '${name}' is registered twice`);
  registry.functions.set(key, { metadata, handler });
  return new Disposable(() => {
    if (registry.locked) throw new SeamError(`function '${name}' is removed after the app has started`);
    registry.functions.delete(key);
  });
}

function registerHook(registry: Registry, name: string, handler: HookHandler): Disposable {
  const hookName = hookNames.find((known) => known === name);
  if (hookName === undefined) throw new RangeError(`no such hook: ${name}`);
  const handlers = registry.hooks[hookName];
  handlers.push(handler);
  return new Disposable(() => {
    const index = handlers.indexOf(handler);
    if (index >= 0) handlers.splice(index, 1);
  });
}

/** Loads one CommonJS file of the app. */
export function requireFile(path: string): void {
  createRequire(path)(path);
}
