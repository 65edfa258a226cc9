import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import { MAX_ITEM_ID_BYTES } from './layout.ts';

/** Length of data keys, wrapping keys and of every key derived from them. */
export const KEY_BYTES = 32;
export const SALT_BYTES = 32;
export const TAG_BYTES = 16;

const NONCE_BYTES = 12;
const WRAPPED_VERSION = 1;
const WRAPPED_BYTES = 1 + NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/** The two keys of a segment: one seals its frames, the other authenticates its index. */
export interface SegmentKeys {
  frame: Buffer;
  index: Buffer;
}

/** Makes a new data key. Every protected item has its own. */
export function generateDataKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** Encrypts an item's data key with the vault's wrapping key; the result opens only for the same item id. */
export function wrapDataKey(dataKey: Uint8Array, wrappingKey: Uint8Array, itemId: string): Buffer {
  checkKey(dataKey, 'data key');
  checkKey(wrappingKey, 'wrapping key');
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', wrappingKey, nonce).setAAD(wrapAad(itemId));
  const sealed = Buffer.concat([cipher.update(dataKey), cipher.final()]);
  return Buffer.concat([Buffer.of(WRAPPED_VERSION), nonce, sealed, cipher.getAuthTag()]);
}

/**
 * Decrypts what `wrapDataKey` made.
 *
 * @throws Error where the bytes were altered, belong to another item, or were wrapped by another key.
 */
export function unwrapDataKey(wrapped: Uint8Array, wrappingKey: Uint8Array, itemId: string): Buffer {
  checkKey(wrappingKey, 'wrapping key');
  if (wrapped.length !== WRAPPED_BYTES || wrapped[0] !== WRAPPED_VERSION) {
    throw new Error(
      `the wrapped data key of ${itemId} is not one: ${wrapped.length} bytes, expected ${WRAPPED_BYTES}`,
    );
  }
  const nonce = wrapped.subarray(1, 1 + NONCE_BYTES);
  const decipher = createDecipheriv('aes-256-gcm', wrappingKey, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(wrapAad(itemId)).setAuthTag(wrapped.subarray(WRAPPED_BYTES - TAG_BYTES));
  try {
    const body = wrapped.subarray(1 + NONCE_BYTES, WRAPPED_BYTES - TAG_BYTES);
    return Buffer.concat([decipher.update(body), decipher.final()]);
  } catch (error) {
    throw new Error(`the wrapped data key of ${itemId} is altered, another item's, or of another vault key`, {
      cause: error,
    });
  }
}

/** Derives the keys of one segment. The salt is random, so no two segments ever share keys, whatever their sequence. */
export function segmentKeys(
  dataKey: Uint8Array,
  header: { itemId: string; sequence: number; salt: Uint8Array },
): SegmentKeys {
  const sequence = Buffer.alloc(8);
  sequence.writeBigUInt64LE(BigInt(header.sequence));
  const info = Buffer.concat([Buffer.from('secondsite/segment/1\0'), sequence, itemIdBytes(header.itemId)]);
  const both = derive(dataKey, header.salt, info, 2 * KEY_BYTES);
  return { frame: both.subarray(0, KEY_BYTES), index: both.subarray(KEY_BYTES) };
}

/** Derives the key that authenticates an item's point manifests. */
export function pointKey(dataKey: Uint8Array, itemId: string): Buffer {
  const info = Buffer.concat([Buffer.from('secondsite/point/1\0'), itemIdBytes(itemId)]);
  return derive(dataKey, Buffer.alloc(0), info, KEY_BYTES);
}

/** Derives the key that authenticates what compaction writes: layers, records and lists of dead blobs. */
export function compactionKey(dataKey: Uint8Array, itemId: string): Buffer {
  const info = Buffer.concat([Buffer.from('secondsite/compaction/1\0'), itemIdBytes(itemId)]);
  return derive(dataKey, Buffer.alloc(0), info, KEY_BYTES);
}

/** The UTF-8 bytes of an item id, 1 to 1024 of them. */
export function itemIdBytes(itemId: string): Buffer {
  const bytes = Buffer.from(itemId, 'utf8');
  if (bytes.length === 0 || bytes.length > MAX_ITEM_ID_BYTES || bytes.toString('utf8') !== itemId) {
    throw new RangeError(
      `an item id is 1 to ${MAX_ITEM_ID_BYTES} bytes of UTF-8, this one has ${bytes.length}`,
    );
  }
  return bytes;
}

function derive(dataKey: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  checkKey(dataKey, 'data key');
  return Buffer.from(hkdfSync('sha256', dataKey, salt, info, length));
}

function checkKey(key: Uint8Array, what: string): void {
  if (key.length !== KEY_BYTES)
    throw new RangeError(`a ${what} has ${KEY_BYTES} bytes, this one has ${key.length}`);
}

function wrapAad(itemId: string): Buffer {
  return Buffer.concat([Buffer.from('secondsite/data-key/1\0'), itemIdBytes(itemId)]);
}
