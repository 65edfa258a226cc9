import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { startStorage, type Storage } from '../../local/storage/storage.ts';
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
  type TemporaryFolder,
} from './functions-host-fixture.ts';

let folder: TemporaryFolder;
let storage: Storage;
let host: HostProcess;

beforeEach(async () => {
  folder = temporaryFolder();
  storage = await startMemoryStorage(folder.path);
  host = await start();
});

afterEach(async () => {
  await host.kill();
  await storage.close();
  folder.remove();
});

function journalPath(): string {
  return join(folder.path, 'journal');
}

function start(): Promise<HostProcess> {
  return startHost({
    appFolder: fixtureApp('orchestrations'),
    dataFolder: folder.path,
    settings: { AzureWebJobsStorage: storage.connectionString, JOURNAL: journalPath() },
  });
}

function journal(): string[] {
  return existsSync(journalPath()) ? readFileSync(journalPath(), 'utf8').split('\n').slice(0, -1) : [];
}

/** Waits until activities have left so many lines, or nothing more is to come. */
async function waitForLines(count: number, isOver: () => boolean): Promise<void> {
  while (journal().length < count && !isOver()) {
    await new Promise((resolve) => {
      setTimeout(resolve, 1);
    });
  }
}

type Run = { step: string; run: string };

test('every orchestration ends, and no committed activity runs again, when the host is killed at any moment', async () => {
  const ids = Array.from({ length: 10 }, (_unused, index) => `journey-${index}`);
  for (const id of ids) await post(`${host.url}/start/journey/${id}`, {});
  for (let kill = 0; kill < 8; kill += 1) {
    let isOver = false;
    const watched = host;
    const over = Promise.all(ids.map((id) => waitForEnd(watched.url, id))).then(
      () => (isOver = true),
      () => undefined,
    );
    await waitForLines(journal().length + 1 + Math.floor(Math.random() * 14), () => isOver);
    await host.kill();
    await over;
    host = await start();
  }
  const committed = new Map<string, string>();
  for (const id of ids) {
    const { runtimeStatus, output } = await waitForEnd(host.url, id);
    expect(runtimeStatus).toBe('Completed');
    const runs = output as Run[];
    expect(runs.map(({ step }) => step)).toEqual([
      'begin',
      'a',
      'b',
      'c',
      'round 0',
      'round 1',
      'round 2',
      'flaky',
      'end',
    ]);
    for (const { step, run } of runs) {
      committed.set(step.startsWith('round') ? `${id}-child ${step}` : `${id} ${step}`, run);
    }
  }
  const lastRun = new Map(
    journal().map((line) => {
      const words = line.split(' ');
      return [words.slice(0, -1).join(' '), words.at(-1) ?? ''];
    }),
  );
  expect(lastRun).toEqual(committed);
});

test('an event that was accepted is not lost when the host is killed at once', async () => {
  await post(`${host.url}/start/waits/w`, {});
  for (const data of ['one', 'two', 'three']) {
    const { status } = await post(`${host.url}/client/raise/w`, { name: 'name', data });
    expect(status).toBe(200);
    await host.kill();
    host = await start();
  }
  expect((await waitForEnd(host.url, 'w')).output).toEqual(['one', 'two', 'three']);
});

test('an orchestration that was started runs, and one that was terminated stays so, after a kill', async () => {
  await post(`${host.url}/start/waits/stays`, {});
  await waitForStatus(host.url, 'stays', ({ runtimeStatus }) => runtimeStatus === 'Running');
  await post(`${host.url}/client/terminate/stays`, { reason: 'enough' });
  await post(`${host.url}/start/chain/runs`, { steps: 2 });
  await host.kill();
  host = await start();
  expect((await waitForEnd(host.url, 'runs')).output).toEqual([0, 1]);
  expect(await waitForEnd(host.url, 'stays')).toMatchObject({
    runtimeStatus: 'Terminated',
    output: 'enough',
  });
});

test('a timer goes on from where it was, and a cancelled one does not come back', async () => {
  const fireAt = new Date(Date.now() + 1500).toISOString();
  await post(`${host.url}/start/longTimer/timer`, { fireAt });
  await post(`${host.url}/start/deadline/deadline`, { ms: 3_600_000 });
  await waitForStatus(host.url, 'deadline', ({ runtimeStatus }) => runtimeStatus === 'Running');
  await host.kill();
  host = await start();
  await post(`${host.url}/client/raise/deadline`, { name: 'answer', data: 'in time' });
  expect((await waitForEnd(host.url, 'deadline')).output).toBe('in time');
  expect((await waitForEnd(host.url, 'timer')).output).toBe('fired');
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(fireAt));
});

test('what a suspended orchestration has received is kept over a kill', async () => {
  await post(`${host.url}/start/waits/s`, {});
  await waitForStatus(host.url, 's', ({ runtimeStatus }) => runtimeStatus === 'Running');
  await post(`${host.url}/client/suspend/s`, { reason: 'a break' });
  await waitForStatus(host.url, 's', ({ runtimeStatus }) => runtimeStatus === 'Suspended');
  for (const data of [1, 2, 3]) await post(`${host.url}/client/raise/s`, { name: 'name', data });
  await host.kill();
  host = await start();
  expect((await statusOf(host.url, 's')).runtimeStatus).toBe('Suspended');
  await post(`${host.url}/client/resume/s`, { reason: 'on' });
  expect((await waitForEnd(host.url, 's')).output).toEqual([1, 2, 3]);
});

test('orchestrations wait while storage is away and go on when it is back', async () => {
  await host.kill();
  await storage.close();
  const dataFolder = join(folder.path, 'storage');
  storage = await startStorage({ dataFolder });
  host = await start();
  await post(`${host.url}/start/slowly/slowly`, {});
  await waitForLines(1, () => false);
  const { ports } = storage;
  await storage.close();
  writeFileSync(`${journalPath()}.slowly`, '');
  while (!host.log().includes('Storage does not answer')) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  storage = await startStorage({ dataFolder, ports });
  expect((await waitForEnd(host.url, 'slowly')).output).toBe('done');
  expect(journal()).toEqual(['waits for slowly', 'slowly after']);
});
