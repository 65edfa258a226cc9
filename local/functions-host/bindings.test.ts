import { createRequire } from 'node:module';
import type * as azureFunctions from '@azure/functions';
import { afterEach, expect, test } from 'vitest';

import { resolveSettings, toLoadedFunction } from './bindings.ts';
import { installCoreModule } from './core-module.ts';

const registry = installCoreModule(() => undefined);
// The library looks for its host when its first function is registered.
const { app, input, output, trigger } = createRequire(import.meta.url)(
  '@azure/functions',
) as typeof azureFunctions;

const handler = (): object => ({});

afterEach(() => {
  registry.functions.clear();
  registry.locked = false;
});

function load(): object {
  const [registered] = registry.functions.values();
  return toLoadedFunction(registered!);
}

test.for<[string, () => void]>([
  ['queueTrigger', () => app.storageQueue('f', { queueName: 'q', connection: 'C', handler })],
  ['blobTrigger', () => app.storageBlob('f', { path: 'p/{n}', connection: 'C', handler })],
  ['eventGridTrigger', () => app.eventGrid('f', { handler })],
  ['eventHubTrigger', () => app.eventHub('f', { eventHubName: 'e', connection: 'C', handler })],
  ['sqlTrigger', () => app.sql('f', { tableName: 't', connectionStringSetting: 'C', handler })],
  ['entityTrigger', () => app.generic('f', { trigger: trigger.generic({ type: 'entityTrigger' }), handler })],
  [
    'in binding blob',
    () => app.http('f', { extraInputs: [input.storageBlob({ path: 'p', connection: 'C' })], handler }),
  ],
  [
    'out binding table',
    () => app.http('f', { extraOutputs: [output.table({ tableName: 't', connection: 'C' })], handler }),
  ],
  [
    'out binding serviceBus',
    () =>
      app.http('f', { extraOutputs: [output.serviceBusQueue({ queueName: 'q', connection: 'C' })], handler }),
  ],
  [
    'the retry option',
    () =>
      app.timer('f', {
        schedule: '* * * * * *',
        retry: { strategy: 'fixedDelay', delayInterval: 1, maxRetryCount: 1 },
        handler,
      }),
  ],
])('%s is refused by name', ([what, register]) => {
  register();
  const where = what === 'the retry option' ? "the retry option of function 'f'" : `${what} of function 'f'`;
  expect(load).toThrow(`not supported by the local host: ${where}`);
});

test('a function with a durable client knows the name of its input', () => {
  const client = input.generic({ type: 'durableClient' });
  app.http('f', { extraInputs: [client], handler });
  expect(load()).toMatchObject({ name: 'f', triggerType: 'httpTrigger', clientInputs: [client.name] });
});

test('names of functions are checked, and taken once whatever their case', () => {
  app.http('f', { handler });
  expect(() => app.http('F', { handler })).toThrow("function 'F' is registered twice");
  expect(() => app.http('1f', { handler })).toThrow("'1f' is no function name");
});

test('nothing is registered after the app has started', () => {
  registry.locked = true;
  expect(() => app.http('late', { handler })).toThrow("'late' is registered after the app has started");
});

test('settings take the place of their names in percent signs', () => {
  process.env['BINDINGS_TEST_QUEUE'] = 'orders';
  expect(resolveSettings('a-%BINDINGS_TEST_QUEUE%-b')).toBe('a-orders-b');
  expect(() => resolveSettings('%NOT_SET_ANYWHERE%')).toThrow('NOT_SET_ANYWHERE, which is not set');
});
