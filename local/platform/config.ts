import { join } from 'node:path';
import { z } from 'zod';

import { writeSecretFile } from '../../shared/secret-file.ts';
import { readJsonFile } from '../json-file.ts';

const Port = z.int().min(1).max(65_535);

const Ports = z.object({
  blob: Port,
  queue: Port,
  table: Port,
  /** AMQP over TLS or plain, as the connection string says. */
  serviceBus: Port,
  /** Service Bus administration, https. */
  serviceBusAdmin: Port,
  /** The function app, https. */
  functions: Port,
  tokenIssuer: Port,
  catalogue: Port,
});

/** Where each part of the platform listens, on 127.0.0.1. */
export type Ports = z.infer<typeof Ports>;

const LocalConfig = z.object({
  /** The function app: the ARM API. */
  armEndpoint: z.url(),
  /** The CA that signed all https certificates here: NODE_EXTRA_CA_CERTS. */
  caCertificatePath: z.string(),
  subscriptionId: z.guid(),
  resourceGroup: z.string(),
  tenantId: z.guid(),
  storageConnectionString: z.string(),
  serviceBusConnectionString: z.string(),
  serviceBusAdminEndpoint: z.string(),
  tokenIssuer: z.url(),
  tokenAudience: z.string(),
  tokenJwksUri: z.url(),
  vaultKeyPath: z.string(),
  /** ARM endpoint of the target subscription's storage accounts and networks: the catalogue. */
  targetResourceManager: z.url(),
  dataFolder: z.string(),
  ports: Ports,
  /** The process of the platform, and those it started, by name. */
  pids: z.record(z.string(), z.int()),
});

/** What a client needs to know of a running local platform: the content of `local.json`. It holds secrets. */
export type LocalConfig = z.infer<typeof LocalConfig>;

function configPath(dataFolder: string): string {
  return join(dataFolder, 'local.json');
}

/** The configuration of the platform's last start; undefined when it never ran on the folder. */
export function readConfig(dataFolder: string): LocalConfig | undefined {
  return readJsonFile(configPath(dataFolder), LocalConfig);
}

export function writeConfig(config: LocalConfig): void {
  writeSecretFile(configPath(config.dataFolder), `${JSON.stringify(config, null, 2)}\n`);
}
