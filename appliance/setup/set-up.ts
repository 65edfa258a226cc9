import { BackOff } from '../configuration-server/back-off.ts';
import { checkSocketPath } from '../configuration-server/control-socket.ts';
import {
  ensureIdentity,
  findRegistration,
  putPrerequisites,
  setPassphrase,
  type Registration,
} from '../configuration-server/identity.ts';
import {
  readRegistrationKey,
  refuseExpired,
  register,
  type RegistrationKey,
} from '../configuration-server/registration.ts';
import { findProxy, putInternet, type InternetSettings } from '../configuration-server/outbound.ts';
import { takeDataFolder } from '../configuration-server/single-run.ts';
import { openStore, putSetting, type Store } from '../configuration-server/store.ts';
import { WebClient } from '../configuration-server/web-client.ts';
import { DomainError, isRetryable } from '../../shared/fault.ts';
import type { PrerequisiteReport } from '../../shared/wire/prerequisite.ts';
import { checkPrerequisites, refuseFailed, refuseUndersized } from './prerequisites/check-prerequisites.ts';
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
  /** `host` or `host:port` of a time server to check the clock against, beside the vault's service. */
  timeServer?: string | undefined;
  /** The way to the internet; left out, what was set before, or directly. */
  internet?: InternetSettings | undefined;
  /** What mobility agents prove when they enrol; left out, it stays, or one is made. */
  passphrase?: string | undefined;
  /** Refuses a machine that is smaller than recommended. */
  refusesUndersized?: boolean;
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
  prerequisites: PrerequisiteReport;
}

/**
 * Sets an appliance up: keys and passphrase, then registration. May be repeated at any time: it goes on where it was cut
 * off, and an appliance that is registered stays who it is.
 *
 * @throws DomainError as {@link readRegistrationKey} and {@link register}; Conflict when the folder's appliance belongs
 * to another vault or is running, or when a prerequisite failed.
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
    if (options.internet !== undefined) putInternet(store, options.internet);
    if (options.passphrase !== undefined) setPassphrase(store, options.passphrase);
    putSetting(store, 'host', host);
    putSetting(store, 'port', String(port));
    if (port !== 0) putSetting(store, 'chosenPort', String(port));
    const { registration, prerequisites } = await checkAndRegister(store, { key, known }, options);
    const { applianceId, vaultId, vaultName, fabricName } = registration;
    const result = { applianceId, vaultId, vaultName, fabricName, dataFolder, host, port, prerequisites };
    return { ...result, alreadyRegistered: known !== undefined };
  } finally {
    store.db.close();
    giveFree();
  }
}

/** What an appliance is told to be, and what it is already. */
interface Enrolment {
  key: RegistrationKey;
  known: Registration | undefined;
}

interface Checked {
  registration: Registration;
  prerequisites: PrerequisiteReport;
}

async function checkAndRegister(store: Store, enrolment: Enrolment, options: SetupOptions): Promise<Checked> {
  const web = new WebClient(enrolment.key.claims.caCertificatePem, findProxy(store));
  const patience = AbortSignal.timeout(options.waitSeconds * 1000);
  const backOff = new BackOff();
  try {
    for (;;) {
      try {
        return await tryOnce(store, web, enrolment, options);
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

/** This process has the data folder, so the appliance doesn't run and its port must be free. */
const notOurs = (): boolean => false;

/** The machine is measured anew with each try, so that what the vault is told is true when it is told. */
async function tryOnce(
  store: Store,
  web: WebClient,
  { key, known }: Enrolment,
  { dataFolder, host, port, timeServer, refusesUndersized = false }: SetupOptions,
): Promise<Checked> {
  const service = { endpoint: key.claims.endpoint, web };
  const prerequisites = await checkPrerequisites({
    dataFolder,
    host,
    port,
    service,
    timeServer,
    isOurs: notOurs,
  });
  refuseFailed(prerequisites);
  if (refusesUndersized) refuseUndersized(prerequisites);
  putPrerequisites(store, prerequisites);
  return { registration: known ?? (await register(store, web, key)), prerequisites };
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
