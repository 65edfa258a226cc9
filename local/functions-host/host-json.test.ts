import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { readHostJson } from './host-json.ts';
import { createLogger } from './log.ts';

function read(content: string): ReturnType<typeof readHostJson> {
  const folder = mkdtempSync(join(tmpdir(), 'host-json-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'host.json'), content);
  return readHostJson(folder);
}

test('what host.json does not say is as on the real host', () => {
  const { extensions, functionTimeout } = read('{"version":"2.0"}');
  expect(extensions.http.routePrefix).toBe('api');
  expect(extensions.serviceBus.maxAutoLockRenewalDuration).toBe(300_000);
  expect(extensions.durableTask.hubName).toBe('TestHubName');
  expect(functionTimeout).toBe(Infinity);
});

test('what it says wrong is told with its place', () => {
  expect(() => read('{"version":"2.0"')).toThrow('host.json cannot be read as JSON');
  expect(() => read('{"version":"1.0"}')).toThrow('version');
  expect(() => read('{"version":"2.0","functionTimeout":"soon"}')).toThrow("'soon' is no time span");
  const durableTask = '{"hubName":"h x"}';
  expect(() => read(`{"version":"2.0","extensions":{"durableTask":${durableTask}}}`)).toThrow(
    'a hub name is',
  );
  const serviceBus = '{"autoCompleteMessages":false}';
  expect(() => read(`{"version":"2.0","extensions":{"serviceBus":${serviceBus}}}`)).toThrow(
    'not supported by the local host: autoCompleteMessages false',
  );
});

test('a log line is written if its longest known category wants it, plain or as JSON', () => {
  const { logging } = read(
    '{"version":"2.0","logging":{"logLevel":{"default":"Warning","Function":"Information","Function.loud":"Trace","Function.mute":"None"}}}',
  );
  for (const json of [false, true]) {
    const lines: string[] = [];
    const log = createLogger({ levels: logging.logLevel, json, write: (line) => lines.push(line) });
    log('information', 'Host', 'no');
    log('warning', 'Host', 'one');
    log('information', 'Function.any.User', 'two');
    log('debug', 'Function.any', 'no');
    log('trace', 'Function.loud.User', 'three');
    log('critical', 'Function.mute', 'no');
    expect(lines.map((line) => /one|two|three|no/.exec(line)?.[0])).toEqual(['one', 'two', 'three']);
    expect(lines[0]).toMatch(
      json
        ? /^\{"time":.*"level":"warning","category":"Host","message":"one"\}\n$/
        : /Z warning \[Host\] one\n$/,
    );
  }
});
