import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';

/**
 * Encrypts what the store must not hold in the clear: AES-256-GCM under a key that lies in a file of its own beside
 * the store (mode 600). What it protects against: copies of the store alone (a backup, a support bundle, a lost
 * database file). What it does not protect against: somebody who can read the whole data folder as its owner or as
 * root has the key too.
 */
export class SecretBox {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /**
   * Opens with the key file; makes the file where `mayCreate` says that nothing was sealed with an earlier one.
   *
   * @throws Error when the file is missing, though it may not be made, or is not a key.
   */
  static open(keyPath: string, mayCreate: boolean): SecretBox {
    try {
      const key = Buffer.from(readFileSync(keyPath, 'utf8').trim(), 'base64');
      if (key.length !== keyBytes) {
        throw new Error(`${keyPath} is not a key file: restore it from a backup of the data folder`);
      }
      return new SecretBox(key);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (!mayCreate) {
      throw new Error(
        `${keyPath} is missing, so the secrets in the store can't be read. Restore the file from a backup of the data folder, or set the appliance up again in an empty folder with a new registration key`,
      );
    }
    const key = randomBytes(keyBytes);
    writeWhole(keyPath, `${key.toString('base64')}\n`);
    return new SecretBox(key);
  }

  /** Seals a text for one purpose: it opens under the same purpose only, so that rows can't be swapped. */
  seal(purpose: string, text: string): Uint8Array {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(purpose));
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return new Uint8Array(Buffer.concat([nonce, cipher.getAuthTag(), sealed]));
  }

  /** @throws Error when it was sealed for another purpose or with another key, or was altered. */
  open(purpose: string, sealed: Uint8Array): string {
    const bytes = Buffer.from(sealed);
    try {
      const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, nonceBytes))
        .setAAD(Buffer.from(purpose))
        .setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
      return (
        decipher.update(bytes.subarray(nonceBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8')
      );
    } catch (error) {
      throw new Error(
        `The store's secret '${purpose}' can't be read with store.key: it belongs to another store`,
        {
          cause: error,
        },
      );
    }
  }
}

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** All or nothing: a crash leaves no half a key behind. */
function writeWhole(path: string, content: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
