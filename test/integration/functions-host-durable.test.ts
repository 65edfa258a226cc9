import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Storage } from '../../local/storage/storage.ts';
import {
  fixtureApp,
  post,
  startHost,
  startMemoryStorage,
  statusOf,
  temporaryFolder,
  waitForEnd,
  waitForStatus,
  type HostProcess,
  type InstanceStatus,
  type TemporaryFolder,
} from './functions-host-fixture.ts';

let folder: TemporaryFolder;
let storage: Storage;
let host: HostProcess;

beforeAll(async () => {
  folder = temporaryFolder();
  storage = await startMemoryStorage(folder.path);
  host = await startHost({
    appFolder: fixtureApp('orchestrations'),
    dataFolder: folder.path,
    settings: { AzureWebJobsStorage: storage.connectionString, JOURNAL: join(folder.path, 'journal') },
  });
});

afterAll(async () => {
  await host.stop();
  await storage.close();
  folder.remove();
});

async function run(name: string, id: string, input: unknown = {}): Promise<InstanceStatus> {
  expect((await post(`${host.url}/start/${name}/${id}`, input)).json).toEqual({ instanceId: id });
  return waitForEnd(host.url, id);
}

function linesOf(text: string): string[] {
  return readFileSync(join(folder.path, 'journal'), 'utf8')
    .split('\n')
    .filter((line) => line.includes(text));
}

function isRunning({ runtimeStatus }: InstanceStatus): boolean {
  return runtimeStatus === 'Running';
}

async function call(verb: string, id: string, input: unknown = {}): Promise<Record<string, unknown>> {
  return (await post(`${host.url}/client/${verb}/${id}`, input)).json;
}

describe('an orchestration', () => {
  test('calls activities one after the other, each once', async () => {
    const { output, runtimeStatus, input } = await run('chain', 'chain', { steps: 10 });
    expect({ output, runtimeStatus, input }).toEqual({
      output: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      runtimeStatus: 'Completed',
      input: { steps: 10 },
    });
    expect(linesOf('chain ')).toHaveLength(10);
  });

  test('calls 150 activities at once', async () => {
    expect((await run('fan', 'fan', { width: 150 })).output).toBe((149 * 150) / 2);
    expect(linesOf('fan ')).toHaveLength(150);
  });

  test('mixes activities, a sub-orchestration, a timer and retries', async () => {
    expect((await run('mixed', 'mixed')).output).toBe('done');
    expect((await statusOf(host.url, 'mixed-child')).output).toEqual([0, 1, 2]);
  });

  test('passes inputs and results of every JSON type through activities', async () => {
    const { output } = await run('types', 'types');
    expect(output).toEqual([
      'text',
      '',
      '{"json":1}',
      12,
      1.5,
      true,
      null,
      { nested: [1, { two: 2 }] },
      ['list'],
      null,
    ]);
  });

  test('catches the failure of an activity and of a sub-orchestration', async () => {
    expect((await run('catches', 'catches')).output).toBe('caught');
    expect((await run('parentOfFailure', 'parent')).output).toBe('caught');
    expect((await statusOf(host.url, 'parent-child')).runtimeStatus).toBe('Failed');
  });

  test('fails after the last retry', async () => {
    const { runtimeStatus, output } = await run('failsAlways', 'fails-always');
    expect(runtimeStatus).toBe('Failed');
    expect(output).toContain('no luck with fails-always');
    expect(linesOf('fail fails-always')).toHaveLength(3);
  });

  test('fails when it calls an activity that is not there', async () => {
    const { runtimeStatus, output } = await run('unknownActivity', 'unknown');
    expect({ runtimeStatus, output }).toMatchObject({ runtimeStatus: 'Failed' });
    expect(output).toContain("'noSuchActivity' doesn't exist");
  });

  test('fails when it uses what the host does not have, by name', async () => {
    const { output } = await run('callsHttp', 'calls-http');
    expect(output).toContain("not supported by the local host: the orchestrator's action callHttp");
  });

  test('starts afresh with continueAsNew and keeps nothing of the execution before', async () => {
    expect((await run('loops', 'loops', { left: 20, total: 0 })).output).toBe(210);
    expect(linesOf('loops ')).toHaveLength(21);
  });

  test('takes inputs, outputs and activity results of a megabyte', async () => {
    const text = 'ü😀x'.repeat(250_000);
    const { output, customStatus } = await run('large', 'large', { size: 1_000_000, text });
    expect(customStatus).toBe('read');
    expect((output as { text: string }).text === text).toBe(true);
    expect((output as { input: number }).input).toBe(text.length);
  });
});

describe('external events', () => {
  test('arrive in the order in which they were raised, those before the wait too', async () => {
    await post(`${host.url}/start/waits/waits`, {});
    for (const data of ['one', { two: 2 }, null]) await call('raise', 'waits', { name: 'name', data });
    const { output, customStatus } = await waitForEnd(host.url, 'waits');
    expect(output).toEqual(['one', { two: 2 }, null]);
    expect(customStatus).toEqual({ received: 2 });
  });

  test('raised in one go are all taken over by the executions that follow', async () => {
    await post(`${host.url}/start/counts/counts`, { left: 30, seen: [] });
    const values = Array.from({ length: 30 }, (_unused, index) => index);
    await Promise.all(values.map((data) => call('raise', 'counts', { name: 'value', data })));
    const { output } = await waitForEnd(host.url, 'counts');
    expect((output as number[]).sort((left, right) => left - right)).toEqual(values);
  });

  test('win against a timer that is then cancelled, and lose against one that fires', async () => {
    await post(`${host.url}/start/deadline/in-time`, { ms: 3_600_000 });
    await waitForStatus(host.url, 'in-time', isRunning);
    await call('raise', 'in-time', { name: 'answer', data: 42 });
    expect((await waitForEnd(host.url, 'in-time')).output).toBe(42);
    expect((await run('deadline', 'late', { ms: 30 })).output).toBe('too late');
  });

  test('to an unknown instance are refused, to an ended one ignored', async () => {
    expect(await call('raise', 'nobody', { name: 'x', data: 1 })).toEqual({
      error: "No instance with ID 'nobody' found.",
    });
    await run('chain', 'over', { steps: 1 });
    expect(await call('raise', 'over', { name: 'x', data: 1 })).toEqual({ result: null });
  });
});

describe('the durable client', () => {
  test('lets one of two simultaneous starts of one id win, and refuses while it has not ended', async () => {
    const starts = Array.from({ length: 8 }, () => post(`${host.url}/start/waits/one-wins`, {}));
    const statuses = (await Promise.all(starts)).map(({ status }) => status);
    expect(statuses.sort((left, right) => left - right)).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
    expect((await post(`${host.url}/start/waits/one-wins`, {})).json['error']).toContain('already exists');
    await call('terminate', 'one-wins', { reason: 'done with it' });
    expect((await waitForEnd(host.url, 'one-wins')).output).toBe('done with it');
    expect((await run('chain', 'one-wins', { steps: 1 })).output).toEqual([0]);
  });

  test('gives an id when none is wished, and management URLs that work with their key only', async () => {
    const { json, status } = await post(`${host.url}/start/chain?check`, { steps: 1 });
    expect(status).toBe(202);
    await waitForEnd(host.url, String(json['id']));
    const uri = String(json['statusQueryGetUri']);
    expect(await (await fetch(uri)).json()).toMatchObject({ name: 'chain', output: [0] });
    expect((await fetch(uri.replace(/code=[^&]+/, 'code=wrong'))).status).toBe(401);
  });

  test('refuses unknown orchestrators and ids that are none', async () => {
    const { json } = await post(`${host.url}/start/noSuchOrchestrator`, {});
    expect(json['error']).toContain('status code: 400');
    const long = await post(`${host.url}/start/chain/${'x'.repeat(101)}`, { steps: 1 });
    expect(long.json['error']).toContain('100 characters');
    const odd = await run('chain', "it's ünusual: 100%25 (äöü)", { steps: 1 }).catch(
      (error: unknown) => error,
    );
    expect(odd).toBeDefined();
  });

  test('takes instance ids with quotes, colons and letters of any script', async () => {
    const id = "vault's job:äß漢😀";
    const { json } = await post(`${host.url}/start/chain/${encodeURIComponent(id)}`, { steps: 2 });
    expect(json).toEqual({ instanceId: id });
    expect((await waitForEnd(host.url, id)).output).toEqual([0, 1]);
  });

  test('suspends and resumes; what ends meanwhile is taken up then', async () => {
    await post(`${host.url}/start/slowly/slowly`, {});
    await waitForStatus(host.url, 'slowly', isRunning);
    await call('suspend', 'slowly', { reason: 'a break' });
    await waitForStatus(host.url, 'slowly', ({ runtimeStatus }) => runtimeStatus === 'Suspended');
    writeFileSync(join(folder.path, 'journal.slowly'), '');
    await run('chain', 'meanwhile', { steps: 3 });
    expect(linesOf('slowly after')).toHaveLength(0);
    await call('resume', 'slowly', { reason: 'on' });
    expect((await waitForEnd(host.url, 'slowly')).output).toBe('done');
  });

  test('reads the history, and the input or not', async () => {
    const { json } = await post(`${host.url}/start/chain/history?check`, { steps: 1 });
    await waitForEnd(host.url, 'history');
    const uri = `${String(json['statusQueryGetUri'])}&showInput=false&showHistory=true`;
    const status = (await (await fetch(uri)).json()) as {
      historyEvents: { EventType: string }[];
      input: unknown;
    };
    expect(status.input).toBe(null);
    expect(status.historyEvents.map(({ EventType }) => EventType)).toEqual([
      'OrchestratorStarted',
      'ExecutionStarted',
      'TaskScheduled',
      'OrchestratorCompleted',
      'OrchestratorStarted',
      'TaskCompleted',
      'OrchestratorCompleted',
      'ExecutionCompleted',
    ]);
  });

  test('lists by time and status, and purges what has ended', async () => {
    await run('chain', 'purge-me', { steps: 1 });
    await post(`${host.url}/start/waits/purge-not`, {});
    const from = (await statusOf(host.url, 'purge-me')) as InstanceStatus & { createdTime: string };
    const listed = (await call('listBy', 'x', { from: from.createdTime, statuses: ['Completed'] })) as {
      result: InstanceStatus[];
    };
    expect(listed.result.map(({ instanceId }) => instanceId)).toEqual(['purge-me']);
    const all = (await call('list', 'x')) as { result: InstanceStatus[] };
    expect(all.result.map(({ instanceId }) => instanceId)).toContain('purge-not');
    expect(await call('purge', 'purge-me')).toEqual({ result: { instancesDeleted: 1 } });
    expect(await call('purge', 'purge-not')).toEqual({ result: { instancesDeleted: 0 } });
    expect(await call('purge', 'purge-me')).toEqual({ result: { instancesDeleted: 0 } });
    expect(await call('status', 'purge-me')).toHaveProperty('error');
    await run('chain', 'purge-me-too', { steps: 1 });
    const purged = await call('purgeBy', 'x', { from: from.createdTime, statuses: ['Completed'] });
    expect(purged).toEqual({ result: { instancesDeleted: 1 } });
    await call('terminate', 'purge-not', { reason: 'over' });
    await waitForEnd(host.url, 'purge-not');
  });

  test('is told by name that rewind is not supported', async () => {
    await run('fails', 'rewound');
    expect(await call('rewind', 'rewound')).toEqual({
      error: "not supported by the local host: the durable client's rewind",
    });
  });
});

test('200 orchestrations run side by side', async () => {
  const ids = Array.from({ length: 200 }, (_unused, index) => `many-${index}`);
  await Promise.all(ids.map((id) => post(`${host.url}/start/chain/${id}`, { steps: 5 })));
  for (const id of ids) expect((await waitForEnd(host.url, id)).output).toEqual([0, 1, 2, 3, 4]);
});
