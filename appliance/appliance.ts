import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../shared/fault.ts';
import { ConfigurationServer } from './configuration-server/configuration-server.ts';
import { listenForControl } from './configuration-server/control-socket.ts';
import {
  beginEpoch,
  ensureIdentity,
  findRegistration,
  getPassphrase,
  type Registration,
} from './configuration-server/identity.ts';
import { findProxy, serviceBusOptions, uploadAgents } from './configuration-server/outbound.ts';
import { CheckInNumbers } from './configuration-server/outbox.ts';
import { takeDataFolder } from './configuration-server/single-run.ts';
import { findSetting, openStore, putSetting, storeExists, type Store } from './configuration-server/store.ts';
import { TokenKeeper } from './configuration-server/tokens.ts';
import { WebClient } from './configuration-server/web-client.ts';
import { log } from './log.ts';
import type { ProcessServerEvent } from './process-server/contract.ts';
import { startProcessServer } from './process-server/process-server.ts';

/** A running appliance. */
export interface Appliance {
  applianceId: string;
  host: string;
  /** Where mobility agents come in. */
  port: number;
  caFingerprint: string;
  /** Clean stop: what is not done yet goes on after the next start. */
  close(): Promise<void>;
}

/**
 * Starts the appliance of a data folder that was set up: process server, configuration server and control socket.
 *
 * @throws DomainError ResourceNotFound when it was not set up, Conflict when it runs already.
 */
export async function startAppliance(dataFolder: string): Promise<Appliance> {
  if (!storeExists(dataFolder)) throw notSetUp(dataFolder);
  const giveFree = takeDataFolder(dataFolder);
  const undo: (() => void | Promise<void>)[] = [giveFree];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step();
  };
  try {
    const store = openStore(dataFolder);
    undo.push(() => store.db.close());
    const registration = findRegistration(store);
    if (registration === undefined) throw notSetUp(dataFolder);
    return { ...(await startParts(store, registration, undo)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startParts(
  store: Store,
  registration: Registration,
  undo: (() => void | Promise<void>)[],
): Promise<Omit<Appliance, 'close'>> {
  const { applianceId, vaultId } = registration;
  const numbers = new CheckInNumbers(beginEpoch(store));
  const identity = ensureIdentity(store);
  const { caCertificatePem } = registration;
  const proxy = findProxy(store);
  const web = new WebClient(caCertificatePem, proxy);
  const serviceBus = serviceBusOptions(proxy, caCertificatePem);
  undo.push(() => web.close());
  const uploads = uploadAgents(proxy, caCertificatePem);
  undo.push(() => [uploads.http, uploads.https].forEach((agent) => agent.destroy()));
  const tokens = new TokenKeeper(registration, identity, web);
  const host = findSetting(store, 'host') ?? '127.0.0.1';
  const events = new EventGate();
  const folder = join(store.dataFolder, 'process-server');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const processServer = await startProcessServer({
    dataFolder: folder,
    host,
    port: Number(findSetting(store, 'chosenPort') ?? findSetting(store, 'port') ?? 9443),
    passphrase: () => getPassphrase(store),
    vaultId,
    applianceId,
    grant: async (protectedItemId) => tokens.grant(protectedItemId),
    onEvent: (event) => events.tell(event),
    uploadAgents: uploads,
  });
  undo.push(async () => processServer.close());
  // a free port once taken stays: the agents know it
  putSetting(store, 'chosenPort', String(processServer.port));
  const parts = { store, numbers, registration, identity, web, tokens, serviceBus, processServer, host };
  const server = new ConfigurationServer(parts);
  events.open((event) => server.handle(event));
  server.start();
  undo.push(async () => server.close());
  undo.push(await listenForControl({ store, running: server }));
  log.info('The appliance runs.', { applianceId, host, port: processServer.port, epoch: numbers.epoch });
  return { applianceId, host, port: processServer.port, caFingerprint: processServer.caFingerprint };
}

/** Keeps what the process server tells while the configuration server, which needs it, is not there yet. */
class EventGate {
  #early: ProcessServerEvent[] = [];
  #receive = (event: ProcessServerEvent): void => void this.#early.push(event);

  tell(event: ProcessServerEvent): void {
    this.#receive(event);
  }

  open(receive: (event: ProcessServerEvent) => void): void {
    this.#receive = receive;
    for (const event of this.#early.splice(0)) receive(event);
  }
}

function notSetUp(dataFolder: string): DomainError {
  return new DomainError({
    code: 'ResourceNotFound',
    message: `There is no appliance set up in ${dataFolder}.`,
    target: dataFolder,
    recommendedAction: 'Run `secondsite appliance setup --key <file>` with this data folder first.',
  });
}
