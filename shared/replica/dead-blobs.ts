/** A list of blobs that nothing leads to, as of a moment: they are deleted by a later collection, not by the one that lists them. */
import { z } from 'zod';
import { compactionKey } from './keys.ts';
import { MAX_POINT_BYTES, tombstoneName } from './layout.ts';
import { Sequence } from './point.ts';
import { ReplicaError, refuse } from './replica-error.ts';
import type { BlobEntry, ReplicaLog } from './replica-store.ts';
import { openDocument, sealJson } from './sealed-json.ts';

const FORMAT = 'secondsite-tombstones/1';
/** Names of one list; what is left over is listed by the next collection. */
export const MAX_TOMBSTONES = 50_000;

const Tombstones = z.strictObject({
  format: z.literal(FORMAT),
  itemId: z.string().min(1),
  number: Sequence,
  /** When they were found dead, UTC. */
  time: z.iso.datetime({ precision: 3 }),
  names: z.array(z.string().min(1).max(100)).min(1).max(MAX_TOMBSTONES),
});
export type Tombstones = z.infer<typeof Tombstones>;

/** Writes the list under a number of its own; answers its bytes. @throws Error where somebody else has used the number */
export async function putTombstones(
  log: ReplicaLog,
  list: { number: number; atMs: number; names: readonly string[] },
): Promise<number> {
  const { number, atMs, names } = list;
  const time = new Date(atMs).toISOString();
  const value = Tombstones.parse({ format: FORMAT, itemId: log.itemId, number, time, names });
  const name = tombstoneName(number);
  const bytes = sealJson(value, keyOf(log));
  const outcome = await log.store.putIfAbsent(name, bytes);
  if (outcome === 'exists') throw new Error(`${name} is in the replica log already`);
  return bytes.length;
}

/** Reads a list; undefined where it is not one of ours: then its blobs are listed anew. */
export async function findTombstones(log: ReplicaLog, { name }: BlobEntry): Promise<Tombstones | undefined> {
  try {
    const bytes = await log.store.find(name, MAX_POINT_BYTES);
    if (bytes === undefined) return refuse('Missing', name, 'the store has no such blob');
    return openDocument(bytes, { name, itemId: log.itemId, key: keyOf(log), schema: Tombstones });
  } catch (error) {
    if (error instanceof ReplicaError) return undefined;
    throw error;
  }
}

function keyOf({ dataKey, itemId }: ReplicaLog): Buffer {
  return compactionKey(dataKey, itemId);
}
