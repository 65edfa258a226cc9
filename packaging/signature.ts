import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Checksums of a release's files, as `sha256sum --check` reads them. */
export function checksumsOf(paths: readonly string[]): string {
  return paths
    .map((path) => `${createHash('sha256').update(readFileSync(path)).digest('hex')}  ${basename(path)}\n`)
    .join('');
}

/**
 * Writes SHA256SUMS, its signature and the public key beside the files. Check it with
 * `openssl dgst -sha256 -verify release.pub -signature SHA256SUMS.sig SHA256SUMS && sha256sum --check SHA256SUMS`.
 */
export function signFiles(folder: string, paths: readonly string[], key: KeyObject): void {
  const sums = checksumsOf(paths);
  writeFileSync(join(folder, 'SHA256SUMS'), sums);
  writeFileSync(join(folder, 'SHA256SUMS.sig'), sign('sha256', Buffer.from(sums), key));
  writeFileSync(join(folder, 'release.pub'), createPublicKey(key).export({ type: 'spki', format: 'pem' }));
}

/** The key that a release is signed with (ECDSA P-256): made, and kept for the next release, where there is none yet. */
export function ensureSigningKey(path: string): KeyObject {
  if (existsSync(path)) return createPrivateKey(readFileSync(path));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return privateKey;
}
