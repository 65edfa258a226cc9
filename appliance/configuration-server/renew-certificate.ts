import { X509Certificate } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../../shared/fault.ts';
import { ensureAuthority } from '../process-server/authority.ts';
import { findRegistration } from './identity.ts';
import type { Store } from './store.ts';

/**
 * Makes another certificate, with another key, for the port that agents come in at. The appliance's CA stays, so agents
 * notice nothing.
 *
 * @throws DomainError ResourceNotFound before setup.
 */
export async function renewCertificate(store: Store): Promise<{ fingerprint: string; expiresAtMs: number }> {
  const registration = findRegistration(store);
  if (registration === undefined) {
    throw new DomainError({
      code: 'ResourceNotFound',
      message: `The appliance in ${store.dataFolder} is not registered.`,
      recommendedAction: 'Run `secondsite appliance setup` first.',
    });
  }
  const folder = join(store.dataFolder, 'process-server');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  rmSync(join(folder, 'server.json'), { force: true });
  const { server } = await ensureAuthority(folder, registration);
  const { fingerprint256, validToDate } = new X509Certificate(server.certificatePem);
  return { fingerprint: fingerprint256, expiresAtMs: validToDate.getTime() };
}
