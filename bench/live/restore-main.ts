/** Restores a point into a file, as a program of its own: `{ … }` on standard input says what. */
import { BlobServiceClient } from '@azure/storage-blob';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { BlobReplicaStore } from '../../shared/replica/blob-replica-store.ts';
import { FileTarget } from '../../shared/replica/file-target.ts';
import { FramePool } from '../../shared/replica/frame-pool.ts';
import { planRestore, restoreDisk, restoreRange } from '../../shared/replica/restore.ts';

const Order = z.object({
  connectionString: z.string(),
  itemId: z.string(),
  dataKeyHex: z.string(),
  sequence: z.number(),
  path: z.string(),
  /** Into a prepared file; the whole disk when it is absent. */
  ranges: z.array(z.object({ offsetBytes: z.number(), lengthBytes: z.number() })).optional(),
});

const { connectionString, itemId, dataKeyHex, sequence, path, ranges } = Order.parse(
  JSON.parse(await text(process.stdin)),
);
const container = BlobServiceClient.fromConnectionString(connectionString).getContainerClient(
  `replica-${itemId}`,
);
const log = { store: new BlobReplicaStore(container), itemId, dataKey: Buffer.from(dataKeyHex, 'hex') };
const target = new FileTarget(path, 'raw');
if (ranges) {
  const request = { log, point: { sequence }, disk: 0, target };
  const plan = await planRestore(request);
  for (const range of ranges) await restoreRange(request, range, plan);
} else {
  const pool = new FramePool();
  await restoreDisk({ log, point: { sequence }, disk: 0, target, pool });
  await pool.close();
}
