import { createHash, randomBytes } from 'node:crypto';

const MAX_MS = 2 ** 48 - 1;
const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/iu;

/**
 * A job's id: a GUID that begins with its start in milliseconds (UUID version 7), so that a job's place among all
 * jobs, newest first, follows from its id alone. The same time and seed give the same id; without a seed it is random.
 */
export function jobIdAt(startedAtMs: number, seed?: string): string {
  const bytes = Buffer.alloc(16);
  (seed === undefined ? randomBytes(16) : createHash('sha256').update(seed).digest()).copy(bytes, 0, 0, 16);
  bytes.writeUIntBE(clampMs(startedAtMs), 0, 6);
  bytes[6] = 0x70 | (bytes.readUInt8(6) & 0x0f);
  bytes[8] = 0x80 | (bytes.readUInt8(8) & 0x3f);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Sorts jobs newest first when compared as text; undefined where the id is no GUID. */
export function findJobOrder(jobId: string): string | undefined {
  if (!GUID.test(jobId)) return undefined;
  const id = jobId.toLowerCase();
  const startedAtMs = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  return `${startOrder(startedAtMs)}-${id}`;
}

/** What the order of jobs begins with that started at this moment. */
export function startOrder(startedAtMs: number): string {
  return (MAX_MS - clampMs(startedAtMs)).toString(16).padStart(12, '0');
}

function clampMs(ms: number): number {
  return Math.min(Math.max(Math.trunc(ms), 0), MAX_MS);
}
