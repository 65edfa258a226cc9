import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';

import { ensureJsonFile } from '../json-file.ts';
import { generatePrivateJwk, PrivateJwk } from './token.ts';

const VaultKey = z.object({
  kid: z.string(),
  /** Signs registration keys. */
  signing: PrivateJwk,
  /** Wraps the data keys of protected items: 32 bytes, base64. */
  wrapping: z.base64(),
});

/** Makes the vault key file of a data folder when it is missing: what Key Vault holds in Azure. @returns its path */
export function ensureVaultKeyFile(dataFolder: string): string {
  const path = join(dataFolder, 'vault-key.json');
  ensureJsonFile(path, VaultKey, () => ({
    kid: randomUUID(),
    signing: generatePrivateJwk(),
    wrapping: randomBytes(32).toString('base64'),
  }));
  return path;
}
