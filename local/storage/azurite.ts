import { createRequire } from 'node:module';
import { join } from 'node:path';

import type { StorageAccount, StoragePorts } from './account.ts';

// Azurite publishes no types; these are the parts of its servers that are used here.

type AccountDataStore = {
  accounts: Record<string, { name: string; key1: Buffer; key2?: Buffer }>;
  refresh: () => void;
};

/** One of Azurite's three servers. */
export type AzuriteServer = {
  start(): Promise<void>;
  close(): Promise<void>;
  accountDataStore: AccountDataStore;
};

type Configuration = new (...positional: unknown[]) => object;
type Server = new (configuration: object) => AzuriteServer;

const require = createRequire(import.meta.url);

function load<T>(path: string): T {
  return (require(`azurite/dist/src/${path}`) as { default: T }).default;
}

/** Makes Azurite's three servers, not yet started. They take requests signed with this account's key only. */
export function createAzuriteServers(
  account: StorageAccount,
  ports: StoragePorts,
  dataFolder: string | undefined,
): AzuriteServer[] {
  const inMemory = dataFolder === undefined;
  const file = (name: string): string => join(dataFolder ?? '', name);
  const extents = (name: string, maxConcurrency: number): object[] => [
    { locationId: 'Default', locationPath: file(name), maxConcurrency },
  ];
  const host = '127.0.0.1';
  const keepAliveSeconds = 60;
  // enableAccessLog, accessLogWriteStream, enableDebugLog, debugLogFilePath, loose, skipApiVersionCheck,
  // cert, key, pwd, oauth, disableProductStyleUrl, isMemoryPersistence
  const blobTail = [false, undefined, false, undefined, false, true, '', '', '', undefined, true, inMemory];
  // enableDebugLog, enableAccessLog, accessLogWriteStream, debugLogFilePath, then as above
  const tableTail = [false, false, undefined, undefined, false, true, '', '', '', undefined, true, inMemory];

  const blob = new (load<Configuration>('blob/BlobConfiguration'))(
    host,
    ports.blob,
    keepAliveSeconds,
    file('blob.json'),
    file('blob-extents.json'),
    extents('blobs', 50),
    ...blobTail,
  );
  const queue = new (load<Configuration>('queue/QueueConfiguration'))(
    host,
    ports.queue,
    keepAliveSeconds,
    file('queue.json'),
    file('queue-extents.json'),
    extents('messages', 50),
    ...blobTail,
  );
  const table = new (load<Configuration>('table/TableConfiguration'))(
    host,
    ports.table,
    keepAliveSeconds,
    file('table.json'),
    ...tableTail,
  );
  const servers = [
    new (load<Server>('blob/BlobServer'))(blob),
    new (load<Server>('queue/QueueServer'))(queue),
    new (load<Server>('table/TableServer'))(table),
  ];
  for (const server of servers) useAccount(server, account);
  return servers;
}

/**
 * Azurite reads its accounts from the environment of its process, which would pass the key on to child processes
 * and allow one account a process; so the account is set on the server itself.
 */
function useAccount(server: AzuriteServer, account: StorageAccount): void {
  const store = server.accountDataStore;
  if (typeof store?.refresh !== 'function' || typeof store.accounts !== 'object') {
    throw new Error(
      'This version of azurite keeps its accounts elsewhere; use the version in package-lock.json',
    );
  }
  store.refresh = () => undefined;
  store.accounts = { [account.name]: { name: account.name, key1: Buffer.from(account.key, 'base64') } };
}
