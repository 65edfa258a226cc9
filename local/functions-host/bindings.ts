import type { Binding } from './core-api.ts';
import type { RegisteredFunction } from './core-module.ts';

/** What the app uses and this host does not have. It is said when the app is loaded, not when it is called. */
export class NotSupportedError extends Error {
  constructor(what: string) {
    super(`not supported by the local host: ${what}`);
  }
}

const triggers = [
  'httpTrigger',
  'timerTrigger',
  'serviceBusTrigger',
  'orchestrationTrigger',
  'activityTrigger',
] as const;

/** The kind of a function's trigger. */
type TriggerType = (typeof triggers)[number];

/** A function of the app that this host can run. */
export type LoadedFunction = RegisteredFunction & {
  name: string;
  triggerName: string;
  triggerType: TriggerType;
  trigger: Binding;
  /** Names of its durableClient inputs. */
  clientInputs: string[];
};

/** Checks that the host has everything a function asks for. @throws NotSupportedError */
export function toLoadedFunction(registered: RegisteredFunction): LoadedFunction {
  const { name, bindings, retryOptions } = registered.metadata;
  const where = `function '${name}'`;
  if (retryOptions !== undefined) throw new NotSupportedError(`the retry option of ${where}`);
  const [triggerName, trigger] = triggerOf(registered);
  const triggerType = triggers.find((known) => known.toLowerCase() === trigger.type.toLowerCase());
  if (triggerType === undefined) throw new NotSupportedError(`${trigger.type} of ${where}`);
  const others = Object.entries(bindings).filter(([, binding]) => binding !== trigger);
  for (const [, binding] of others) {
    if (isDurableClient(binding) || isHttpOutput(binding)) continue;
    throw new NotSupportedError(`${binding.direction ?? ''} binding ${binding.type} of ${where}`);
  }
  const clientInputs = others.filter(([, binding]) => isDurableClient(binding)).map(([key]) => key);
  return { ...registered, name, triggerName, triggerType, trigger, clientInputs };
}

function triggerOf({ metadata: { name, bindings } }: RegisteredFunction): [string, Binding] {
  const found = Object.entries(bindings).filter(([, binding]) => /trigger$/i.test(binding.type));
  const [only] = found;
  if (only === undefined || found.length > 1) {
    throw new Error(`function '${name}' has ${found.length} triggers; it must have one`);
  }
  return only;
}

function isHttpOutput(binding: Binding): boolean {
  return binding.direction === 'out' && binding.type.toLowerCase() === 'http';
}

function isDurableClient(binding: Binding): boolean {
  const isClient = ['durableclient', 'orchestrationclient'].includes(binding.type.toLowerCase());
  return isClient && binding.direction === 'in';
}

/** Replaces `%NAME%` in a binding's option by the setting of that name. @throws Error when there is none */
export function resolveSettings(text: string): string {
  return text.replaceAll(/%([^%]+)%/g, (_whole, setting: string) => {
    const value = process.env[setting];
    if (value === undefined) throw new Error(`'${text}' refers to the setting ${setting}, which is not set`);
    return value;
  });
}
