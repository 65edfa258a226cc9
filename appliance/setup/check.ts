import { findRegistration } from '../configuration-server/identity.ts';
import { findProxy, proxyOf, type InternetSettings, type Proxy } from '../configuration-server/outbound.ts';
import { readRegistrationKey } from '../configuration-server/registration.ts';
import { openStore, storeExists } from '../configuration-server/store.ts';
import { WebClient } from '../configuration-server/web-client.ts';
import type { PrerequisiteReport } from '../../shared/wire/prerequisite.ts';
import { checkPrerequisites } from './prerequisites/check-prerequisites.ts';

/** What is checked without changing anything. */
export interface CheckOptions {
  /** The registration key file; left out, the vault of the appliance in the data folder is asked, if there is one. */
  keyPath: string | undefined;
  dataFolder: string;
  host: string;
  port: number;
  timeServer: string | undefined;
  /** The way to the internet; left out, that of the appliance in the data folder, or directly. */
  internet?: InternetSettings | undefined;
}

interface Service {
  endpoint: string;
  caCertificatePem?: string | undefined;
}

/**
 * Checks the prerequisites and changes nothing.
 *
 * @throws DomainError InvalidRequest when the key file can't be used.
 */
export async function checkOnly(options: CheckOptions): Promise<PrerequisiteReport> {
  const { keyPath, dataFolder, host, port, timeServer, internet } = options;
  const kept = readKept(dataFolder);
  const service: Service | undefined =
    keyPath === undefined ? kept?.service : readRegistrationKey(keyPath).claims;
  if (service === undefined) return checkPrerequisites({ dataFolder, host, port, timeServer });
  const web = new WebClient(
    service.caCertificatePem,
    internet === undefined ? kept?.proxy : proxyOf(internet),
  );
  try {
    const { endpoint } = service;
    return await checkPrerequisites({ dataFolder, host, port, timeServer, service: { endpoint, web } });
  } finally {
    web.close();
  }
}

/** What the data folder knows already. */
function readKept(
  dataFolder: string,
): { service: Service | undefined; proxy: Proxy | undefined } | undefined {
  if (!storeExists(dataFolder)) return undefined;
  const store = openStore(dataFolder);
  try {
    return { service: findRegistration(store), proxy: findProxy(store) };
  } finally {
    store.db.close();
  }
}
