/** A JSON document whose last member is the MAC of every byte before it. It is authenticated before it is parsed. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { refuse } from './replica-error.ts';

const TAIL = /^,"mac":"([0-9a-f]{64})"\}\n$/;
const TAIL_BYTES = 75;

/** Writes a document's bytes: its members, then the MAC under the key. */
export function sealJson(value: object, key: Uint8Array): Buffer {
  const body = Buffer.from(JSON.stringify(value).slice(0, -1));
  return Buffer.concat([body, Buffer.from(`,"mac":"${mac(body, key).toString('hex')}"}\n`)]);
}

/** What bytes are found to be. `claims` are the members of a document that is not proven: good for telling what is wrong. */
type OpenedJson = { isProven: true; value: unknown } | { isProven: false; isWhole: boolean; claims: unknown };

/**
 * Reads a document of the log that should be this item's.
 *
 * @throws ReplicaError where it is not.
 */
export function openDocument<T extends { itemId: string }>(
  bytes: Buffer,
  expected: { name: string; itemId: string; key: Uint8Array; schema: z.ZodType<T> },
): T {
  const { name, itemId, key, schema } = expected;
  const opened = openJson(bytes, key);
  if (!opened.isProven) return refuseUnproven(bytes, opened, expected);
  const parsed = schema.safeParse(opened.value);
  if (!parsed.success) return refuse('Malformed', name, 'it is authentic but breaks the format');
  if (parsed.data.itemId !== itemId) return refuse('WrongItem', name, `it is of ${parsed.data.itemId}`);
  return parsed.data;
}

/** Names what an unproven document claims to be; the claim is only used to say what is wrong. */
function refuseUnproven(
  bytes: Buffer,
  { isWhole, claims }: { isWhole: boolean; claims: unknown },
  { name, itemId }: { name: string; itemId: string },
): never {
  const claim = z.object({ itemId: z.string().max(1024) }).safeParse(claims);
  if (claim.success && claim.data.itemId !== itemId)
    refuse('WrongItem', name, `it is of ${claim.data.itemId}`);
  if (!isWhole)
    refuse('Truncated', name, `its ${bytes.length} bytes do not end as a document of the log does`);
  return refuse('Altered', name, 'its MAC does not agree with its text, or it was made with another key');
}

function openJson(bytes: Buffer, key: Uint8Array): OpenedJson {
  const body = bytes.subarray(0, Math.max(0, bytes.length - TAIL_BYTES));
  const found = TAIL.exec(bytes.toString('latin1', body.length))?.[1];
  const value = parseJson(`${body.toString('utf8')}}`);
  const isProven = found !== undefined && timingSafeEqual(mac(body, key), Buffer.from(found, 'hex'));
  if (isProven) return { isProven, value };
  return { isProven, isWhole: bytes.subarray(-2).equals(Buffer.from('}\n')), claims: value };
}

function mac(body: Uint8Array, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(body).digest();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
