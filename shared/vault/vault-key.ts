import { type KeyObject, createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';

/** The vault key file: made once, mode 600, kept apart from the tables and the blobs that it protects. */
const VaultKeyFile = z.object({
  /** Names this key, so that a later one can take over. */
  kid: z.string().min(1).max(200),
  /** Private P-256 key: signs registration keys. */
  signing: z.object({
    kty: z.literal('EC'),
    crv: z.literal('P-256'),
    x: z.string(),
    y: z.string(),
    d: z.string(),
  }),
  /** 32 bytes, base64: wraps the data keys of protected items. */
  wrapping: z
    .string()
    .refine((text) => Buffer.from(text, 'base64').length === 32, 'must be 32 bytes in base64'),
});

export type VaultKey = { kid: string; signing: KeyObject; verifying: KeyObject; wrapping: Buffer };

/**
 * Opens the vault key. `location` is `file:` and an absolute path.
 * @throws Error naming the file and what is wrong with it, never its content.
 */
export function openVaultKey(location: string): VaultKey {
  const path = /^file:(?:\/\/)?(\/.*)$/u.exec(location)?.[1];
  if (path === undefined)
    throw new Error("VAULT_KEY must be 'file:' and the absolute path of the vault key file.");
  // Windows has no such mode bits.
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new Error(`The vault key ${path} can be read by others: chmod 600 it.`);
  }
  const file = VaultKeyFile.safeParse(parseJson(readFileSync(path, 'utf8')));
  if (!file.success) {
    throw new Error(`The vault key ${path} is not one: ${file.error.issues[0]?.path.join('.')} is wrong.`);
  }
  const signing = createPrivateKey({ key: file.data.signing, format: 'jwk' });
  return {
    kid: file.data.kid,
    signing,
    verifying: createPublicKey(signing),
    wrapping: Buffer.from(file.data.wrapping, 'base64'),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
