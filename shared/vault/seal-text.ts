import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

const nonceBytes = 12;
const tagBytes = 16;

/** What is sealed, and where it lies: opens only there. */
type Place = { wrapping: Buffer; purpose: string };

/** Encrypts a text that must not lie in the table in the clear. */
export function sealText(text: string, place: Place): string {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv('aes-256-gcm', keyOf(place), nonce);
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64');
}

/** @throws Error when it was altered, moved, or sealed under another vault key. */
export function openText(sealed: string, place: Place): string {
  const bytes = Buffer.from(sealed, 'base64');
  const decipher = createDecipheriv('aes-256-gcm', keyOf(place), bytes.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  });
  decipher.setAuthTag(bytes.subarray(-tagBytes));
  const text = decipher.update(bytes.subarray(nonceBytes, -tagBytes));
  return Buffer.concat([text, decipher.final()]).toString('utf8');
}

function keyOf({ wrapping, purpose }: Place): Buffer {
  return Buffer.from(hkdfSync('sha256', wrapping, '', `secondsite ${purpose}`, 32));
}
