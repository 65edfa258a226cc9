/** The floor: what does nothing but compress a disk and put it into the storage, with two threads. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { constants, zstdCompressSync } from 'node:zlib';
import { z } from 'zod';
import { MiB } from '../../shared/bytes.ts';

const pieceBytes = 16 * MiB;
const threads = 2;

const Share = z.object({
  path: z.string(),
  /** URL of a container with a SAS for it. */
  container: z.url(),
  sizeBytes: z.number(),
  thread: z.number(),
});
type Share = z.infer<typeof Share>;

/** Uploads a disk's bytes. Gives the seconds it took, with the start of its threads. */
export async function uploadPlainly(disk: Omit<Share, 'thread'>): Promise<number> {
  const startedAtMs = performance.now();
  const work = Array.from({ length: threads }, (_, thread) => runThread({ ...disk, thread }));
  await Promise.all(work);
  return (performance.now() - startedAtMs) / 1_000;
}

function runThread(share: Share): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share });
    worker.on('error', reject);
    worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`It ended with ${code}.`))));
  });
}

async function uploadShare({ path, container, sizeBytes, thread }: Share): Promise<void> {
  const file = openSync(path, 'r');
  const bytes = Buffer.allocUnsafeSlow(pieceBytes);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let sent: Promise<void> = Promise.resolve(); // one is on its way while the next is compressed
  for (let at = thread * pieceBytes; at < sizeBytes; at += threads * pieceBytes) {
    const length = readSync(file, bytes, 0, Math.min(pieceBytes, sizeBytes - at), at);
    const params = { [constants.ZSTD_c_compressionLevel]: 1 };
    const packed = zstdCompressSync(bytes.subarray(0, length), { params, chunkSize: pieceBytes });
    await sent;
    sent = put(agent, container.replace('?', `/${at}?`), packed);
    sent.catch(() => {}); // told when it is waited for
  }
  await sent;
  agent.destroy();
  closeSync(file);
}

function put(agent: Agent, url: string, bytes: Buffer): Promise<void> {
  const headers = {
    'x-ms-version': '2021-12-02',
    'x-ms-blob-type': 'BlockBlob',
    'content-length': bytes.length,
    'content-md5': createHash('md5').update(bytes).digest('base64'),
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'PUT', agent, headers }, (answer) => {
      answer.resume().on('end', () => {
        if (answer.statusCode === 201) resolve();
        else reject(new Error(`The storage answered with ${answer.statusCode}.`));
      });
    });
    outgoing.on('error', reject).end(bytes);
  });
}

if (!isMainThread && parentPort) await uploadShare(Share.parse(workerData));
