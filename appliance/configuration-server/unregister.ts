import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError, type Fault } from '../../shared/fault.ts';
import { ensureIdentity, findRegistration } from './identity.ts';
import { storeFileName, type Store } from './store.ts';
import { faultOf, TokenKeeper } from './tokens.ts';
import type { WebClient } from './web-client.ts';

/** What the vault says to an appliance that it does not know any more. */
const forgotten = new Set<Fault['code']>(['AuthenticationFailed', 'AuthorizationFailed', 'ResourceNotFound']);

/**
 * Forgets the vault: registration, keys, accounts, vCenters and the process server's spool. The vault is asked first,
 * because what it still replicates through this appliance would be lost.
 *
 * @param force does it whatever the vault says
 * @throws DomainError Conflict while the vault knows the appliance, Unavailable when it can't be asked.
 */
export async function unregister(store: Store, web: WebClient, force: boolean): Promise<void> {
  if (!force) await refuseKnown(store, web);
  for (const name of [storeFileName, `${storeFileName}-wal`, `${storeFileName}-shm`, 'store.key']) {
    rmSync(join(store.dataFolder, name), { force: true });
  }
  rmSync(join(store.dataFolder, 'process-server'), { recursive: true, force: true });
}

async function refuseKnown(store: Store, web: WebClient): Promise<void> {
  const registration = findRegistration(store);
  if (registration === undefined) return;
  const { vaultName } = registration;
  try {
    await new TokenKeeper(registration, ensureIdentity(store), web).ask();
  } catch (error) {
    const fault = faultOf(error);
    if (forgotten.has(fault.code)) return;
    throw error;
  }
  throw new DomainError({
    code: 'Conflict',
    message: `The vault '${vaultName}' still has this server.`,
    target: vaultName,
    recommendedAction:
      'Disable replication of its machines and delete the server in the vault first, or repeat with --force: what waits in the spool is lost then.',
  });
}
