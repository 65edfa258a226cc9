import { BackOff } from '../configuration-server/back-off.ts';
import { checkSocketPath } from '../configuration-server/control-socket.ts';
import { ensureIdentity, findRegistration, type Registration } from '../configuration-server/identity.ts';
import {
  readRegistrationKey,
  refuseExpired,
  register,
  type RegistrationKey,
} from '../configuration-server/registration.ts';
import { takeDataFolder } from '../configuration-server/single-run.ts';
import { openStore, putSetting, type Store } from '../configuration-server/store.ts';
import { WebClient } from '../configuration-server/web-client.ts';
import { DomainError, isRetryable } from '../../shared/fault.ts';
import { mkdirSync } from 'node:fs';

/** What setup is told. */
export interface SetupOptions {
  /** The registration key file. */
  keyPath: string;
  dataFolder: string;
  /** Where mobility agents come in; port 0 takes a free one at the first start and keeps it. */
  host: string;
  port: number;
  /** How long to try again while the vault can't be reached. */
  waitSeconds: number;
  onRetry: (message: string) => void;
}

/** What setup tells. */
export interface SetupResult {
  applianceId: string;
  vaultId: string;
  vaultName: string;
  fabricName: string;
  dataFolder: string;
  host: string;
  port: number;
  alreadyRegistered: boolean;
}

/**
 * Sets an appliance up: keys and passphrase, then registration. May be repeated at any time: it goes on where it was cut
 * off, and an appliance that is registered stays who it is.
 *
 * @throws DomainError as {@link readRegistrationKey} and {@link register}; Conflict when the folder's appliance belongs
 * to another vault or is running.
 */
export async function setUp(options: SetupOptions): Promise<SetupResult> {
  const { dataFolder, host, port } = options;
  refusePort(port);
  checkSocketPath(dataFolder);
  const key = readRegistrationKey(options.keyPath);
  mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  const giveFree = takeDataFolder(dataFolder);
  const store = openStore(dataFolder);
  try {
    const known = findRegistration(store);
    refuseOtherVault(known, key, dataFolder);
    if (known === undefined) refuseExpired(key, Date.now());
    ensureIdentity(store);
    putSetting(store, 'host', host);
    putSetting(store, 'port', String(port));
    if (port !== 0) putSetting(store, 'chosenPort', String(port));
    const registration = known ?? (await registerPatiently(store, key, options));
    const { applianceId, vaultId, vaultName, fabricName } = registration;
    const alreadyRegistered = known !== undefined;
    return { applianceId, vaultId, vaultName, fabricName, dataFolder, host, port, alreadyRegistered };
  } finally {
    store.db.close();
    giveFree();
  }
}

async function registerPatiently(
  store: Store,
  key: RegistrationKey,
  options: SetupOptions,
): Promise<Registration> {
  const web = new WebClient(key.claims.caCertificatePem);
  const patience = AbortSignal.timeout(options.waitSeconds * 1000);
  const backOff = new BackOff();
  try {
    for (;;) {
      try {
        return await register(store, web, key);
      } catch (error) {
        if (!(error instanceof DomainError) || !isRetryable(error.fault) || patience.aborted) throw error;
        options.onRetry(error.fault.message);
        await backOff.wait(patience);
      }
    }
  } finally {
    web.close();
  }
}

function refuseOtherVault(known: Registration | undefined, key: RegistrationKey, dataFolder: string): void {
  if (known === undefined || known.vaultId.toLowerCase() === key.claims.vaultId.toLowerCase()) return;
  throw new DomainError({
    code: 'Conflict',
    message: `The appliance in ${dataFolder} is registered at the vault '${known.vaultName}', and the key is for another one.`,
    target: dataFolder,
    recommendedAction: 'Use another data folder for the other vault.',
  });
}

/** 443 is for the vault's own traffic, never for replication data. */
function refusePort(port: number): void {
  if (port !== 443) return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: 'Port 443 can’t be used for replication data.',
    target: '--port',
    recommendedAction: 'Use 9443, or any other free port.',
  });
}
