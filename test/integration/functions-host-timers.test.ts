import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TableClient } from '@azure/data-tables';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Storage } from '../../local/storage/storage.ts';
import {
  fixtureApp,
  startHost,
  startMemoryStorage,
  temporaryFolder,
  type HostProcess,
  type TemporaryFolder,
} from './functions-host-fixture.ts';

type Entry = {
  name: string;
  at?: string;
  isPastDue?: boolean;
  timer?: { isPastDue: boolean; scheduleStatus: { last: string; next: string }; schedule: object };
};

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

function start(): Promise<HostProcess> {
  return startHost({
    appFolder: fixtureApp('triggers'),
    dataFolder: folder.path,
    settings: {
      AzureWebJobsStorage: storage.connectionString,
      JOURNAL: join(folder.path, 'journal'),
      SCHEDULE: '0 0 * * * *',
    },
  });
}

function entries(name: string): Entry[] {
  const path = join(folder.path, 'journal');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Entry).filter((entry) => entry.name === name);
}

async function waitForEntries(name: string, count: number): Promise<Entry[]> {
  while (entries(name).length < count) {
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
  return entries(name);
}

async function runNow(name: string, key?: string): Promise<number> {
  const keys = JSON.parse(readFileSync(join(folder.path, 'host-keys.json'), 'utf8')) as { masterKey: string };
  const response = await fetch(`${host.url}/admin/functions/${name}`, {
    method: 'POST',
    headers: { 'x-functions-key': key ?? keys.masterKey, 'content-type': 'application/json' },
    body: '{}',
  });
  return response.status;
}

test('timers fire by NCRONTAB and by time span, and at startup when they are told to', async () => {
  await waitForEntries('everySecond', 2);
  await waitForEntries('span', 2);
  expect(await waitForEntries('onStartup', 1)).toEqual([{ name: 'onStartup', isPastDue: false }]);
  expect(entries('hourly')).toEqual([]);
});

test('a run that was missed while the host was away is made up for, and told so', async () => {
  await host.kill();
  const table = TableClient.fromConnectionString(storage.connectionString, 'triggersLocalTimers', {
    allowInsecureConnection: true,
  });
  const nextAt = '2024-01-01T01:00:00.000Z';
  await table.updateEntity(
    { partitionKey: 'timer', rowKey: 'hourly', lastAt: '2024-01-01T00:00:00.000Z', nextAt },
    'Merge',
  );
  host = await start();
  const [entry] = await waitForEntries('hourly', 1);
  expect(entry?.timer).toMatchObject({
    isPastDue: true,
    schedule: { adjustForDST: true },
    scheduleStatus: { last: '2024-01-01T00:00:00.000Z', next: nextAt },
  });
  expect(await runNow('hourly')).toBe(202);
  const [, second] = await waitForEntries('hourly', 2);
  expect(second?.timer?.isPastDue).toBe(false);
  await host.kill();
  host = await start();
  await waitForEntries('onStartup', 3);
  expect(entries('hourly')).toHaveLength(2);
});

test('the admin endpoint runs a timer at once with the master key only; runs never overlap', async () => {
  expect(await runNow('slow', 'wrong')).toBe(401);
  expect(await runNow('noSuchFunction')).toBe(404);
  expect(await runNow('SLOW')).toBe(202);
  expect(await runNow('slow')).toBe(202);
  await waitForEntries('slow', 1);
  writeFileSync(join(folder.path, 'journal.go'), '');
  expect((await waitForEntries('slow', 4)).map(({ at }) => at)).toEqual(['begin', 'end', 'begin', 'end']);
});

test('a timer that throws goes on, and the log tells of it', async () => {
  expect(await runNow('throws')).toBe(202);
  expect(await runNow('throws')).toBe(202);
  await waitForEntries('throws', 2);
  expect(host.log()).toMatch(/error \[Function\.throws\] Failed .*a timer that throws/);
  expect(await host.stop()).toBe(0);
});
