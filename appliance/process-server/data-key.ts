import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { writeSecretFile } from '../../shared/secret-file.ts';

const nonceBytes = 12;
const tagBytes = 16;

/**
 * Keeps the items' data keys encrypted in the process server's database, under a key in a file beside it (mode 600).
 * It guards copies of the database, not a machine whose whole disk was taken: a process server must be able to go on
 * after a restart with nobody there to type a key.
 */
export class DataKeyBox {
  readonly #key: Buffer;

  /** @param path of the key file; made when it is not there */
  constructor(path: string) {
    if (!existsSync(path)) writeSecretFile(path, randomBytes(32));
    this.#key = readFileSync(path);
  }

  seal(dataKey: Uint8Array, protectedItemId: string): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(protectedItemId));
    return Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
  }

  /** @throws Error when the sealed key was altered, or is another item's */
  open(sealed: Uint8Array, protectedItemId: string): Buffer {
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, nonceBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(Buffer.from(protectedItemId)).setAuthTag(sealed.subarray(sealed.length - tagBytes));
    return Buffer.concat([
      decipher.update(sealed.subarray(nonceBytes, sealed.length - tagBytes)),
      decipher.final(),
    ]);
  }
}
