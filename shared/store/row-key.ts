/**
 * Keys of rows. One partition a vault. A row's key is its kind, then its names, outermost first, so that one row
 * is a point read, and both "all of a kind" and "all of a kind under a parent" are one range:
 *
 *     replicationpolicies!vmwarereppolicy
 *     replicationprotecteditems!<fabric>!<container>!<item>
 *
 * Names are compared as ARM does, without regard to case, so keys are in lower case; the row keeps the original.
 * What Table Storage refuses in keys (/ \ ? # and control characters), our separator and everything beyond ASCII
 * is written ~xx per UTF-8 byte. A very long name is replaced by its hash: a key may have 512 characters.
 */
import { createHash } from 'node:crypto';
import { type VaultRef } from '../arm/resource-id.ts';

const separator = '!';
/** The character after the separator: ends the range of everything below a key. */
const afterSeparator = '"';
const longestPart = 120;
/** What is its own part: most names, so it is worth a look before the long way. */
const plainPart = /^[a-z0-9._-]{0,120}$/u;

export type RowKey = { partition: string; row: string };
/** Rows from `from` (inclusive) to `to` (exclusive). */
export type RowRange = { partition: string; from: string; to: string };

/** One name as a part of a key. Different names (but for case) give different parts. */
export function keyPart(name: string): string {
  if (plainPart.test(name)) return name;
  let part = '';
  for (const byte of Buffer.from(name.toLowerCase(), 'utf8')) {
    const character = String.fromCodePoint(byte);
    part += /[a-z0-9._-]/u.test(character) ? character : `~${byte.toString(16).padStart(2, '0')}`;
  }
  if (part.length <= longestPart) return part;
  return `~~${createHash('sha256').update(part).digest('hex')}`;
}

/** The partition that holds all rows of a vault. */
export function vaultPartition(vault: VaultRef): string {
  return [vault.subscriptionId, vault.resourceGroup, vault.vaultName].map(keyPart).join(separator);
}

/** The row of one thing: its kind and its names, outermost first. */
export function rowKey(partition: string, kind: string, ...names: string[]): RowKey {
  return { partition, row: [kind, ...names].map(keyPart).join(separator) };
}

/** All rows of a kind below the given names (none: all of the kind). */
export function rowsBelow(partition: string, kind: string, ...names: string[]): RowRange {
  const { row } = rowKey(partition, kind, ...names);
  return { partition, from: row + separator, to: row + afterSeparator };
}
