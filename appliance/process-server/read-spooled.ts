import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { StoreError } from '../../shared/replica/replica-store.ts';
import type { SealedSegment } from '../../shared/replica/segment-writer.ts';

/** A file of the spool is not what was written: what it had is lost. */
export class SpoolDamaged extends Error {
  override readonly name = 'SpoolDamaged';
}

/** What the system says of a file that is gone, or whose place on the disk can't be read. */
const damages = new Set(['ENOENT', 'EIO', 'EUCLEAN', 'EBADMSG']);

/**
 * Reads a sealed segment's file. Whether its content is still what was sealed is for the storage to say, which compares
 * its hash; see {@link isAltered}.
 *
 * @param buffer large enough for it
 * @throws SpoolDamaged when it is not there, shorter, or can't be read
 */
export async function readSpooled(
  buffer: Uint8Array,
  path: string,
  { sizeBytes }: SealedSegment,
): Promise<Uint8Array> {
  try {
    return await readInto(buffer, path, sizeBytes);
  } catch (cause) {
    if (!damages.has((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    throw new SpoolDamaged(`${path} can not be read`, { cause });
  }
}

/** The storage says that the bytes are not those of the hash: because they were read so, not because of the network. */
export function isAltered(failure: unknown, bytes: Uint8Array, { md5 }: SealedSegment): boolean {
  if (!(failure instanceof StoreError) || failure.code !== 'Md5Mismatch') return false;
  return createHash('md5').update(bytes).digest('base64') !== md5;
}

async function readInto(buffer: Uint8Array, path: string, sizeBytes: number): Promise<Uint8Array> {
  const file = await open(path, 'r');
  try {
    for (let done = 0; done < sizeBytes;) {
      const { bytesRead } = await file.read(buffer, done, sizeBytes - done, done);
      if (bytesRead === 0) throw new SpoolDamaged(`${path} has less than its ${sizeBytes} bytes`);
      done += bytesRead;
    }
    return buffer.subarray(0, sizeBytes);
  } finally {
    await file.close();
  }
}
