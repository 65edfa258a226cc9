import { isIP } from 'node:net';
import { DomainError } from '../../shared/fault.ts';
import type { ControlRequest } from '../../shared/wire/appliance-control.ts';
import type { VCenterGrant, VCenterPrivileges } from '../../shared/wire/vcenter-privileges.ts';
import { getCredentials, type Credentials } from './account.ts';
import type { Store } from './store.ts';
import { listVCenters } from './vcenter.ts';
import { VSphereClient } from './vsphere/client.ts';
import { grantRole } from './vsphere/grant.ts';
import { checkPrivileges } from './vsphere/privilege-check.ts';

type Request<O extends ControlRequest['op']> = Extract<ControlRequest, { op: O }>;

/** A vCenter that was added, or one that is only asked. */
interface Target {
  host: string;
  port: number;
  fingerprint?: string | undefined;
  accountId?: string;
}

/** Gives an account of the store the role Azure_Site_Recovery. @throws DomainError as grantRole, and as the vSphere client. */
export async function grantOnVCenter(store: Store, request: Request<'vCenterGrant'>): Promise<VCenterGrant> {
  const target = findTarget(store, request.vCenter);
  const { userName: principal } = getCredentials(store, needAccount(target, request.account));
  const { datacenter, replace: replaces } = request;
  return inSession(target, request.administrator, async (client) =>
    grantRole(client, { principal, datacenter, replaces }),
  );
}

/** What an account of the store may do on a vCenter. @throws DomainError as the vSphere client. */
export async function checkOnVCenter(
  store: Store,
  request: Request<'vCenterCheck'>,
): Promise<VCenterPrivileges> {
  const target = findTarget(store, request.vCenter);
  const credentials = getCredentials(store, needAccount(target, request.account));
  const { administrator } = request;
  return inSession(target, credentials, async (client) => {
    if (administrator === undefined) return checkPrivileges(client, credentials.userName);
    // the certificate that the first session saw is the one the second must see
    const same = { ...target, fingerprint: client.fingerprint };
    return inSession(same, administrator, async (other) =>
      checkPrivileges(client, credentials.userName, other),
    );
  });
}

async function inSession<T>(
  { host, port, fingerprint }: Target,
  { userName: user, password }: Credentials,
  run: (client: VSphereClient) => Promise<T>,
): Promise<T> {
  const client = await VSphereClient.connect({ host, port, user, password, fingerprint });
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

/** A vCenter by its name in the vault, or by `address` or `address:port`; known ones keep their pinned certificate. */
function findTarget(store: Store, text: string): Target {
  const { host, port } = splitAddress(text);
  const known = listVCenters(store).find(
    ({ vCenterName, address, port: knownPort }) =>
      vCenterName.toLowerCase() === text.toLowerCase() || (address === host && knownPort === port),
  );
  if (known === undefined) return { host, port };
  return {
    host: known.address,
    port: known.port,
    fingerprint: known.fingerprint,
    accountId: known.accountId,
  };
}

function splitAddress(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/u.exec(text);
  if (match === null || isIP(text) === 6) return { host: text, port: 443 };
  return { host: match[1] ?? match[2] ?? text, port: Number(match[3]) };
}

function needAccount(target: Target, account: string | undefined): string {
  const found = account ?? target.accountId;
  if (found !== undefined) return found;
  throw new DomainError({
    code: 'InvalidRequest',
    message: 'The vCenter is not one of the appliance’s, so the account is not known.',
    target: 'account',
    recommendedAction: 'Name one of the appliance’s accounts with --account.',
  });
}
