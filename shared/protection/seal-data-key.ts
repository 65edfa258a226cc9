import { CompactEncrypt, importJWK } from 'jose';
import { type PublicKeyJwk } from '../wire/registration.ts';

/** Seals an item's data key for one appliance: a compact JWE that only its private key opens. */
export async function sealDataKey(dataKey: Uint8Array, encryptionKey: PublicKeyJwk): Promise<string> {
  const key = await importJWK({ ...encryptionKey }, 'ECDH-ES');
  return new CompactEncrypt(dataKey).setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' }).encrypt(key);
}
