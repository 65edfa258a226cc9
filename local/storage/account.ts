import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';

import { ensureJsonFile } from '../json-file.ts';

const StorageAccount = z.object({ name: z.string().min(3).max(24), key: z.base64() });

/** A storage account of the local platform: its name and its one key (base64). */
export type StorageAccount = z.infer<typeof StorageAccount>;

/** The ports of the three services of one account, all on 127.0.0.1. */
export type StoragePorts = { blob: number; queue: number; table: number };

/** Makes an account with a random key, kept nowhere. */
export function createAccount(): StorageAccount {
  return { name: 'secondsitelocal', key: randomBytes(64).toString('base64') };
}

/** The account of a data folder: read from `account.json` there, made and written (mode 600) the first time. */
export function ensureAccount(dataFolder: string): StorageAccount {
  return ensureJsonFile(join(dataFolder, 'account.json'), StorageAccount, createAccount);
}

/** The connection string with which the Azure SDKs reach the account on these ports. */
export function connectionStringOf(account: StorageAccount, ports: StoragePorts): string {
  const endpoint = (port: number): string => `http://127.0.0.1:${port}/${account.name}`;
  return [
    'DefaultEndpointsProtocol=http',
    `AccountName=${account.name}`,
    `AccountKey=${account.key}`,
    `BlobEndpoint=${endpoint(ports.blob)}`,
    `QueueEndpoint=${endpoint(ports.queue)}`,
    `TableEndpoint=${endpoint(ports.table)}`,
  ].join(';');
}
