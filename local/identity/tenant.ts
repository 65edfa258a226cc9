import { createHash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';

import { ensureJsonFile } from '../json-file.ts';

const Tenant = z.object({ tenantId: z.guid(), subscriptionId: z.guid() });

/** Whom the local platform plays: an Entra tenant with one subscription. */
export type Tenant = z.infer<typeof Tenant>;

/** The tenant of a data folder, the same at every start. */
export function ensureTenant(dataFolder: string): Tenant {
  return ensureJsonFile(join(dataFolder, 'tenant.json'), Tenant, () => ({
    tenantId: randomUUID(),
    subscriptionId: randomUUID(),
  }));
}

/** A GUID that is always the same for the same words. */
export function stableGuid(...words: string[]): string {
  const bytes = createHash('sha256').update(words.join('\n')).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80; // version 8: vendor's own
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, '$1-$2-$3-$4-$5');
}
