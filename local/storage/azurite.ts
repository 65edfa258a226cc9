import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type { StorageAccount, StoragePorts } from './account.ts';
import type { PipingExtentStore } from './dead-buffers.ts';
import { installJournaledLoki } from './journaled-loki.ts';

// Azurite publishes no types; these are the parts of its servers that are used here.

type AccountDataStore = {
  accounts: Record<string, { name: string; key1: Buffer; key2?: Buffer }>;
  refresh: () => void;
};

/** Where blob or message content lies. */
type ExtentStore = PipingExtentStore & { deleteExtents(ids: Iterable<string>): Promise<number> };

/** One of Azurite's three servers. */
export type AzuriteServer = {
  start(): Promise<void>;
  close(): Promise<void>;
  httpServer: Server;
  accountDataStore: AccountDataStore;
  metadataStore: { db: object };
  /** Of the blob and the queue server. */
  extentStore?: ExtentStore;
};

type Configuration = new (...positional: unknown[]) => object;
type AzuriteServerClass = new (configuration: object) => AzuriteServer;

/** The names of Azurite's databases in a data folder, and of the folders of its extents. */
export const DATABASES = {
  blob: { metadata: 'blob', extents: 'blob-extents', folder: 'blobs' },
  queue: { metadata: 'queue', extents: 'queue-extents', folder: 'messages' },
  table: { metadata: 'table' },
} as const;

const require = createRequire(import.meta.url);

function load(path: string): unknown {
  return (require(`azurite/dist/src/${path}`) as { default: unknown }).default;
}

/**
 * Makes Azurite's three servers, not yet started. They take requests signed with this account's key only.
 * @param dataFolder a folder with a journal in use (`useJournal`); undefined keeps everything in memory
 */
export function createAzuriteServers(
  account: StorageAccount,
  ports: StoragePorts,
  dataFolder: string | undefined,
): AzuriteServer[] {
  const loki = installJournaledLoki();
  const servers = [
    new (load('blob/BlobServer') as AzuriteServerClass)(contentConfiguration('blob', ports.blob, dataFolder)),
    new (load('queue/QueueServer') as AzuriteServerClass)(
      contentConfiguration('queue', ports.queue, dataFolder),
    ),
    new (load('table/TableServer') as AzuriteServerClass)(tableConfiguration(ports.table, dataFolder)),
  ];
  for (const server of servers) {
    if (!(server.metadataStore.db instanceof loki)) {
      throw new Error(
        'Azurite was loaded before storage was started in this process, so its state would not be kept',
      );
    }
    useAccount(server, account);
  }
  return servers;
}

const HOST = '127.0.0.1';
const KEEP_ALIVE_SECONDS = 60;

function contentConfiguration(
  service: 'blob' | 'queue',
  port: number,
  dataFolder: string | undefined,
): object {
  const { metadata, extents, folder } = DATABASES[service];
  const path = (name: string): string => join(dataFolder ?? '', name);
  const writeConcurrency = 50;
  const contentLogs = [false, undefined, false, undefined]; // access log on, its stream, debug log on, its path
  const name = service === 'blob' ? 'Blob' : 'Queue';
  return new (load(`${service}/${name}Configuration`) as Configuration)(
    HOST,
    port,
    KEEP_ALIVE_SECONDS,
    path(metadata),
    path(extents),
    [{ locationId: 'Default', locationPath: path(folder), maxConcurrency: writeConcurrency }],
    ...contentLogs,
    ...commonParameters(dataFolder === undefined),
  );
}

function tableConfiguration(port: number, dataFolder: string | undefined): object {
  const tableLogs = [false, false, undefined, undefined]; // debug log on, access log on, its stream, debug log's path
  return new (load('table/TableConfiguration') as Configuration)(
    HOST,
    port,
    KEEP_ALIVE_SECONDS,
    join(dataFolder ?? '', DATABASES.table.metadata),
    ...tableLogs,
    ...commonParameters(dataFolder === undefined),
  );
}

/** loose, skipApiVersionCheck, cert, key, pwd, oauth, disableProductStyleUrl, isMemoryPersistence */
function commonParameters(inMemory: boolean): unknown[] {
  return [false, true, '', '', '', undefined, true, inMemory];
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
