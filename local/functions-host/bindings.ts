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
];

/** The kind of a function's trigger. */
export type TriggerType =
  | 'httpTrigger'
  | 'timerTrigger'
  | 'serviceBusTrigger'
  | 'orchestrationTrigger'
  | 'activityTrigger';

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
  const entries = Object.entries(bindings);
  const found = entries.filter(([, binding]) => /trigger$/i.test(binding.type));
  const [triggerName, trigger] = found[0] ?? ['', undefined];
  if (trigger === undefined || found.length > 1) {
    throw new Error(`${where} has ${found.length} triggers; it must have one`);
  }
  const triggerType = triggers.find((known) => known.toLowerCase() === trigger.type.toLowerCase());
  if (triggerType === undefined) throw new NotSupportedError(`${trigger.type} of ${where}`);
  const clientInputs: string[] = [];
  for (const [bindingName, binding] of entries) {
    if (binding === trigger) continue;
    if (binding.direction === 'in' && isDurableClient(binding)) clientInputs.push(bindingName);
    else if (binding.direction !== 'out' || binding.type.toLowerCase() !== 'http') {
      throw new NotSupportedError(`${binding.direction ?? ''} binding ${binding.type} of ${where}`);
    }
  }
  return {
    ...registered,
    name,
    triggerName,
    triggerType: triggerType as TriggerType,
    trigger,
    clientInputs,
  };
}

function isDurableClient(binding: Binding): boolean {
  return ['durableclient', 'orchestrationclient'].includes(binding.type.toLowerCase());
}

/** Replaces `%NAME%` in a binding's option by the setting of that name. @throws Error when there is none */
export function resolveSettings(text: string): string {
  return text.replaceAll(/%([^%]+)%/g, (_whole, setting: string) => {
    const value = process.env[setting];
    if (value === undefined) throw new Error(`'${text}' refers to the setting ${setting}, which is not set`);
    return value;
  });
}
