import { DomainError } from '../../shared/fault.ts';
import type { ApplianceStatus, ControlAnswer, ControlRequest } from '../../shared/wire/appliance-control.ts';
import type { PrerequisiteReport } from '../../shared/wire/prerequisite.ts';
import { checkPrerequisites } from '../setup/prerequisites/check-prerequisites.ts';
import { listAgentPackages, trustReleaseKey } from '../push/agent-packages.ts';
import { forgetHostKey, listHostKeys } from '../push/host-key.ts';
import { version } from '../version.ts';
import { addAccount, listAccounts, removeAccount, updateAccount } from './account.ts';
import type { ConfigurationServer } from './configuration-server.ts';
import { listPendingCommands } from './handled-command.ts';
import { findRegistration, getPassphrase, setPassphrase } from './identity.ts';
import { countOutbox } from './outbox.ts';
import { diagnose } from './doctor.ts';
import { findProxy } from './outbound.ts';
import { renewCertificate } from './renew-certificate.ts';
import { findSetting, type Store } from './store.ts';
import { unregister } from './unregister.ts';
import { WebClient } from './web-client.ts';
import { checkOnVCenter, grantOnVCenter } from './vcenter-privileges.ts';
import { forgetRefusedLogins, getVCenter, listVCenters, pinFingerprint } from './vcenter.ts';

/** What requests are answered from. Without a running server only what the store holds can be. */
export interface ControlParts {
  store: Store;
  running?: ConfigurationServer | undefined;
}

type Handlers = {
  [O in ControlRequest['op']]: (
    parts: ControlParts,
    request: Extract<ControlRequest, { op: O }>,
  ) => ControlAnswer<O> | Promise<ControlAnswer<O>>;
};

const handlers: Handlers = {
  status,
  accountsList: ({ store }) => listAccounts(store),
  accountsAdd: (parts, { accountName, ...account }) =>
    changed(parts, addAccount(parts.store, accountName, account)),
  accountsUpdate: (parts, { account, ...change }) =>
    changed(parts, updateAccount(parts.store, account, change)),
  accountsRemove: (parts, { account }) => changed(parts, removeAccount(parts.store, account)),
  passphraseShow: ({ store }) => ({ passphrase: getPassphrase(store) }),
  passphraseSet: ({ store }, { passphrase }) => {
    setPassphrase(store, passphrase);
    return {};
  },
  vCenterList: ({ store }) => listVCenters(store),
  vCenterTrust: async ({ store, running }, { vCenterName, fingerprint }) => {
    pinFingerprint(store, vCenterName, readFingerprint(fingerprint));
    await running?.discovery.discoverAll('request');
    return getVCenter(store, vCenterName);
  },
  hostKeysList: ({ store }) => listHostKeys(store),
  hostKeysForget: ({ store }, { address }) => {
    if (forgetHostKey(store, address)) return {};
    throw new DomainError({ code: 'ResourceNotFound', message: `No host key of '${address}' is known.` });
  },
  packagesList: ({ store }) => listAgentPackages(store),
  packagesTrust: ({ store }, { fingerprint }) => {
    trustReleaseKey(store, fingerprint);
    return listAgentPackages(store);
  },
  doctor: async (parts) => diagnose(status(parts), await examineMachine(parts), Date.now()),
  renewCertificate: async (parts) => {
    return parts.running === undefined ? renewCertificate(parts.store) : parts.running.renewCertificate();
  },
  unregister: async (parts, { force }) => {
    refuseRunning(parts);
    const web = new WebClient(findRegistration(parts.store)?.caCertificatePem, findProxy(parts.store));
    await unregister(parts.store, web, force).finally(() => web.close());
    return {};
  },
  vCenterGrant: async ({ store }, request) => grantOnVCenter(store, request),
  vCenterCheck: async ({ store }, request) => checkOnVCenter(store, request),
  refresh: async ({ store, running }) => {
    if (running === undefined) {
      throw new DomainError({
        code: 'Unavailable',
        message: `The appliance of ${store.dataFolder} is not running, so it can't discover.`,
        recommendedAction: 'Start it with `secondsite appliance run`.',
      });
    }
    await running.discovery.discoverAll('request');
    return listVCenters(store);
  },
};

/** Answers one request of the command line. */
export async function handleControl<O extends ControlRequest['op']>(
  parts: ControlParts,
  request: Extract<ControlRequest, { op: O }>,
): Promise<ControlAnswer<O>> {
  const handler = handlers[request.op];
  return handler(parts, request);
}

function status({ store, running }: ControlParts): ApplianceStatus {
  const registration = findRegistration(store);
  const { applianceId, vaultId, vaultName, endpoint } = registration ?? {};
  return {
    state: running === undefined ? 'stopped' : 'running',
    version,
    dataFolder: store.dataFolder,
    ...(registration === undefined ? {} : { applianceId, vaultId, vaultName, endpoint }),
    agents: [],
    ...running?.status(),
    accounts: listAccounts(store),
    vCenters: listVCenters(store),
    outboxWaiting: countOutbox(store),
    pendingCommands: listPendingCommands(store).map(({ command, receivedAtMs }) => ({
      commandId: command.commandId,
      kind: command.body.kind,
      receivedAtMs,
    })),
  };
}

async function examineMachine({ store, running }: ControlParts): Promise<PrerequisiteReport> {
  const { dataFolder } = store;
  const registration = findRegistration(store);
  const web = new WebClient(registration?.caCertificatePem, findProxy(store));
  try {
    return await checkPrerequisites({
      dataFolder,
      host: findSetting(store, 'host') ?? '127.0.0.1',
      port: Number(findSetting(store, 'chosenPort') ?? findSetting(store, 'port') ?? 9443),
      service: registration === undefined ? undefined : { endpoint: registration.endpoint, web },
      isOurs: () => running !== undefined,
    });
  } finally {
    web.close();
  }
}

function refuseRunning({ store, running }: ControlParts): void {
  if (running === undefined) return;
  throw new DomainError({
    code: 'Conflict',
    message: `The appliance of ${store.dataFolder} is running.`,
    recommendedAction: 'Stop it first (SIGTERM, or its systemd unit), then repeat.',
  });
}

/** An account changed: the vault is told, and logins that were refused are worth another try. */
function changed<T>({ store, running }: ControlParts, answer: T): T {
  forgetRefusedLogins(store);
  void running?.discovery.retryRefused();
  running?.changed();
  return answer;
}

/** SHA-256 in hex, with or without colons. */
function readFingerprint(text: string): string {
  const hex = text.replaceAll(/[\s:]/gu, '').toUpperCase();
  if (!/^[0-9A-F]{64}$/u.test(hex)) {
    throw new DomainError({
      code: 'InvalidRequest',
      message: `'${text}' is not a SHA-256 fingerprint: 64 hex digits, with or without colons.`,
      target: 'fingerprint',
    });
  }
  return hex.match(/../gu)?.join(':') ?? '';
}
