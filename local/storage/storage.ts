import { once } from 'node:events';
import { join, resolve } from 'node:path';

import { findFreePort } from '../free-port.ts';
import {
  connectionStringOf,
  createAccount,
  ensureAccount,
  type StorageAccount,
  type StoragePorts,
} from './account.ts';
import { type AzuriteServer, createAzuriteServers, DATABASES } from './azurite.ts';
import { freeChecked, freeWritten } from './dead-buffers.ts';
import { removeTornExtents } from './extents.ts';
import { Journal } from './journal.ts';
import { useJournal } from './journaled-loki.ts';
import { gateResponses } from './response-gate.ts';

/** A running storage account: blobs, queues and tables on 127.0.0.1. */
export type Storage = {
  connectionString: string;
  ports: StoragePorts;
  close(): Promise<void>;
};

export type StorageOptions = {
  /** Holds the state and the account's key. A write that was acknowledged is there after any death of the process. */
  dataFolder: string;
  /** Taken where they are free, else others. */
  ports?: Partial<StoragePorts>;
  /** Keeps nothing: for tests that end with the process. */
  inMemory?: boolean;
  /** Called when the state can no longer be written (a full disk): no request succeeds from then on. */
  onFailure?: (error: Error) => void;
};

/** Starts blob, queue and table storage. */
export async function startStorage(options: StorageOptions): Promise<Storage> {
  const ports = {
    blob: await findFreePort(options.ports?.blob),
    queue: await findFreePort(options.ports?.queue),
    table: await findFreePort(options.ports?.table),
  };
  if (options.inMemory) {
    const account = createAccount();
    const servers = createAzuriteServers(account, ports, undefined);
    return await run(servers, account, ports, () => undefined);
  }
  const dataFolder = resolve(options.dataFolder);
  const account = ensureAccount(dataFolder);
  const journal = new Journal(dataFolder, options.onFailure ?? (() => undefined));
  const leaveJournal = useJournal(dataFolder, journal);
  const release = (): void => {
    leaveJournal();
    journal.close();
  };
  try {
    for (const { extents, folder } of [DATABASES.blob, DATABASES.queue]) {
      removeTornExtents(join(dataFolder, folder), journal, extents);
    }
    const servers = createAzuriteServers(account, ports, dataFolder);
    freeChecked();
    for (const server of servers) keepPromises(server, journal);
    return await run(servers, account, ports, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** Nothing is acknowledged, and no content is deleted for good, before the journal has what led to it. */
function keepPromises(server: AzuriteServer, journal: Journal): void {
  gateResponses(server.httpServer, () => journal.commit());
  const extents = server.extentStore;
  if (extents === undefined) return;
  freeWritten(extents);
  const deleteExtents = extents.deleteExtents.bind(extents);
  extents.deleteExtents = async (ids) => {
    journal.commit();
    return await deleteExtents(ids);
  };
}

async function run(
  servers: AzuriteServer[],
  account: StorageAccount,
  ports: StoragePorts,
  release: () => void,
): Promise<Storage> {
  for (const server of servers) await server.start();
  return {
    connectionString: connectionStringOf(account, ports),
    ports,
    async close() {
      await Promise.all(servers.map(stop));
      release();
    },
  };
}

/** How long requests under way may take to end. */
const GRACE_MS = 3000;

/** Azurite's own close does not wait for its http server. */
async function stop(server: AzuriteServer): Promise<void> {
  const closed = once(server.httpServer, 'close');
  const timer = setTimeout(() => server.httpServer.closeAllConnections(), GRACE_MS);
  await server.close();
  await closed;
  clearTimeout(timer);
}
