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
  ['blobTrigger', "not supported by the local host: blobTrigger of function 'f'"],
  ['eventGridTrigger', "not supported by the local host: eventGridTrigger of function 'f'"],
  ['sqlTrigger', "not supported by the local host: sqlTrigger of function 'f'"],
  ['entityTrigger', "not supported by the local host: entityTrigger of function 'f'"],
  ['topic', "not supported by the local host: topic and subscription of function 'f'"],
  ['sessions', "not supported by the local host: isSessionsEnabled of function 'f'"],
  ['batch', "not supported by the local host: cardinality of function 'f'"],
  ['blobInput', "not supported by the local host: in binding blob of function 'f'"],
  ['tableOutput', "not supported by the local host: out binding table of function 'f'"],
  ['retry', "not supported by the local host: the retry option of function 'f'"],
  ['stream', 'not supported by the local host: enableHttpStream'],
  ['constraint', "not supported by the local host: route constraint 'file'"],
  ['adminRoute', "routes that start with 'Admin' belong to the host"],
  ['runtimeRoute', "routes that start with 'runtime' belong to the host"],
  ['twice', "function 'F' is registered twice"],
  ['schedule', "schedule '0 61 * * * *': '61' is no minute"],
  ['missingSetting', "'%NO_SUCH_SETTING%' refers to the setting NO_SUCH_SETTING, which is not set"],
  ['missingConnection', 'the setting NOT_SET is missing'],
  ['nothing', 'the app registers no function'],
  ['throws', 'the app itself is broken'],
])('an app with %s is refused when it is loaded, by name', async ([what = '', message = '']) => {
  expect(await refusalOf(what)).toContain(message);
});
