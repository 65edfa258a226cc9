import { randomUUID } from 'node:crypto';

import type { LoadedFunction } from './bindings.ts';
import type { CoreInvocationContext, InvocationResponse, RpcTypedData } from './core-api.ts';
import type { Registry } from './core-module.ts';
import { describeError, type Logger } from './log.ts';

/** What a trigger passes to its function. */
export type InvocationInput = {
  trigger: RpcTypedData;
  metadata?: Record<string, RpcTypedData>;
  invocationId?: string;
};

/** Runs a function once; rejects with what the function threw. */
export type Invoke = (target: LoadedFunction, input: InvocationInput) => Promise<InvocationResponse>;

/** The function ran longer than functionTimeout of host.json. */
export class FunctionTimeoutError extends Error {}

/** Makes the way in which all triggers run functions: hooks before, the function, hooks after. */
export function createInvoke(options: {
  registry: Registry;
  log: Logger;
  timeoutMs: number;
  clientBinding: () => RpcTypedData;
}): Invoke {
  return async (target, input) => {
    const { model } = options.registry;
    if (model === undefined) throw new Error('the function app has set no programming model');
    const context = createContext(target, input, options);
    const startedAt = performance.now();
    const category = `Function.${target.name}`;
    const id = context.invocationId;
    options.log('debug', category, `Executing (Id=${id})`);
    try {
      const running = runModel(context, target, options.registry);
      const response = await withTimeout(running, target.name, options.timeoutMs);
      options.log('debug', category, `Succeeded (Id=${id}, Duration=${elapsed(startedAt)}ms)`);
      return response;
    } catch (error) {
      // An orchestration that fails answers by throwing; its engine reports it.
      const level = target.triggerType === 'orchestrationTrigger' ? 'debug' : 'error';
      options.log(
        level,
        category,
        `Failed (Id=${id}, Duration=${elapsed(startedAt)}ms): ${describeError(error)}`,
      );
      throw error;
    }
  };
}

function elapsed(startedAt: number): number {
  return Math.round(performance.now() - startedAt);
}

function createContext(
  target: LoadedFunction,
  input: InvocationInput,
  options: { registry: Registry; log: Logger; clientBinding: () => RpcTypedData },
): CoreInvocationContext {
  const invocationId = input.invocationId ?? randomUUID();
  return {
    invocationId,
    metadata: target.metadata,
    request: {
      invocationId,
      inputData: [
        { name: target.triggerName, data: input.trigger },
        ...target.clientInputs.map((name) => ({ name, data: options.clientBinding() })),
      ],
      triggerMetadata: input.metadata ?? {},
      traceContext: {
        traceParent: newTraceParent(),
        traceState: '',
        attributes: {},
      },
    },
    log: (level, category, message) => {
      const entry = { level, message, category, hookData: {} };
      for (const hook of options.registry.hooks.log) hook(entry);
      options.log(entry.level, `Function.${target.name}${category === 'user' ? '.User' : ''}`, entry.message);
    },
  };
}

/** A W3C trace of its own; UUIDs because their randomness is fetched for many at once. */
function newTraceParent(): string {
  const traceId = randomUUID().replaceAll('-', '');
  const parentId = randomUUID().replaceAll('-', '').slice(16);
  return `00-${traceId}-${parentId}-00`;
}

async function runModel(
  context: CoreInvocationContext,
  target: LoadedFunction,
  registry: Registry,
): Promise<InvocationResponse> {
  if (registry.model === undefined) throw new Error('the function app has set no programming model');
  const model = registry.model.getInvocationModel(context);
  const { context: invocationContext, inputs } = await model.getArguments();
  const hookData = {};
  const before = { hookData, invocationContext, inputs, functionCallback: target.handler };
  context.state = 'preInvocationHooks';
  for (const hook of registry.hooks.preInvocation) await hook(before);
  const after: Record<string, unknown> & { result: unknown; error: unknown } = {
    hookData,
    invocationContext,
    inputs: before.inputs,
    result: null,
    error: null,
  };
  context.state = 'invocation';
  try {
    after.result = await model.invokeFunction(invocationContext, before.inputs, before.functionCallback);
  } catch (error) {
    after.error = error ?? new Error(`the function threw ${String(error)}`);
  }
  context.state = 'postInvocationHooks';
  for (const hook of registry.hooks.postInvocation) await hook(after);
  if (after.error !== null && after.error !== undefined) throw after.error;
  return model.getResponse(invocationContext, after.result);
}

async function withTimeout<T>(running: Promise<T>, name: string, timeoutMs: number): Promise<T> {
  if (!Number.isFinite(timeoutMs)) return running;
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () =>
        reject(
          new FunctionTimeoutError(
            `function '${name}' ran longer than ${timeoutMs / 1000} s (functionTimeout)`,
          ),
        ),
      timeoutMs,
    );
    timer.unref();
  });
  try {
    return await Promise.race([running, expired]);
  } finally {
    clearTimeout(timer);
  }
}
