import { findFreePort } from '../free-port.ts';
import { connectionStringOf, createAccount, ensureAccount, type StoragePorts } from './account.ts';
import { createAzuriteServers } from './azurite.ts';

/** A running storage account: blobs, queues and tables on 127.0.0.1. */
export type Storage = {
  connectionString: string;
  ports: StoragePorts;
  close(): Promise<void>;
};

/**
 * Starts blob, queue and table storage. State lives in the data folder, or nowhere when `inMemory` is set.
 * The ports asked for are taken where they are free, else others.
 */
export async function startStorage(options: {
  dataFolder: string;
  ports?: Partial<StoragePorts>;
  inMemory?: boolean;
}): Promise<Storage> {
  const account = options.inMemory ? createAccount() : ensureAccount(options.dataFolder);
  const ports = {
    blob: await findFreePort(options.ports?.blob),
    queue: await findFreePort(options.ports?.queue),
    table: await findFreePort(options.ports?.table),
  };
  const servers = createAzuriteServers(account, ports, options.inMemory ? undefined : options.dataFolder);
  for (const server of servers) await server.start();
  return {
    connectionString: connectionStringOf(account, ports),
    ports,
    async close() {
      for (const server of servers) await server.close();
    },
  };
}
