import { afterAll, beforeAll, expect, test } from 'vitest';

import type { Storage } from '../../local/storage/storage.ts';
import {
  fixtureApp,
  startHost,
  startMemoryStorage,
  temporaryFolder,
  type TemporaryFolder,
} from './functions-host-fixture.ts';

let folder: TemporaryFolder;
let storage: Storage;

beforeAll(async () => {
  folder = temporaryFolder();
  storage = await startMemoryStorage(folder.path);
});

afterAll(async () => {
  await storage.close();
  folder.remove();
});

async function refusalOf(what: string): Promise<string> {
  const starting = startHost({
    appFolder: fixtureApp('refused'),
    dataFolder: folder.path,
    settings: {
      REFUSED: what,
      AzureWebJobsStorage: storage.connectionString,
      C: 'Endpoint=sb://127.0.0.1;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true',
    },
  });
  return starting.then(
    async (host) => {
      await host.kill();
      return 'it was loaded';
    },
    (error: unknown) => (error as Error).message,
  );
}

test.for([
  ['queueTrigger', "not supported by the local host: queueTrigger of function 'f'"],
  ['topic', "not supported by the local host: topic and subscription of function 'f'"],
  ['sessions', "not supported by the local host: isSessionsEnabled of function 'f'"],
  ['stream', 'not supported by the local host: enableHttpStream'],
  ['adminRoute', "routes that start with 'Admin' belong to the host"],
  ['schedule', "schedule '0 61 * * * *': '61' is no minute"],
  ['missingConnection', 'the setting NOT_SET is missing'],
  ['throws', 'the app itself is broken'],
])('an app with %s is refused when it is loaded, by name', async ([what = '', message = '']) => {
  expect(await refusalOf(what)).toContain(message);
});
