import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { Connection } from '../../appliance/mobility-agent/connection.ts';
import { loadIdentity, type AgentIdentity } from '../../appliance/mobility-agent/identity.ts';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import { extentHeaderBytes, writeExtentHeader, type ExtentHeader } from '../../shared/wire/agent.ts';
import { differingBlocks, restored } from '../fixtures/process-server/images.ts';
import {
  assign,
  createItem,
  enrolAgent,
  ServerProcess,
  serverSettings,
  type Item,
} from '../fixtures/process-server/site.ts';

let folder: string;
let storage: Storage;
let server: ServerProcess;
let item: Item;
let identity: AgentIdentity;
let connection: Connection;
const cycleId = randomUUID();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hostile-'));
  storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
  server = await ServerProcess.start(serverSettings(folder, storage.connectionString));
  item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: 4 * MiB }]);
  await enrolAgent(join(folder, 'agent'), item.biosUuid, server.port);
  identity = loadIdentity(join(folder, 'agent'));
  connection = new Connection(identity);
  await assign(server, item);
  await call(cycles(item), cycle());
});

afterAll(async () => {
  connection.close();
  await server.close();
  await storage.close();
  rmSync(folder, { recursive: true, force: true });
});

function cycles({ protectedItemId }: Item): string {
  return `/v1/items/${protectedItemId}/cycles`;
}

function cycle(more: object = {}): object {
  return { cycleId, resumes: false, basePoint: 0, resyncRequest: 0, disks: item.disks, ...more };
}

function call(path: string, body: unknown): Promise<unknown> {
  return connection.post({ path, body, answer: z.unknown() });
}

function send(buffers: Uint8Array[], headers: Record<string, string> = {}): Promise<unknown> {
  const path = `${cycles(item)}/${cycleId}/extents`;
  return connection.post({ path, body: undefined, buffers, headers, answer: z.unknown() });
}

function extent(header: Partial<ExtentHeader>, data: Buffer = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(extentHeaderBytes);
  const usual = { diskIndex: 0, zero: false, lengthBytes: 512, offsetBytes: 0, packedBytes: 0 };
  writeExtentHeader(bytes, 0, { ...usual, ...header });
  return Buffer.concat([bytes, data]);
}

const refused = (code: string): object => ({ fault: expect.objectContaining({ code }) as object });

const packedZeros = zstdCompressSync(Buffer.alloc(8_192));

describe('a body of extents', () => {
  test.each<[string, Buffer]>([
    ['of a disk that the item does not have', extent({ diskIndex: 1 }, randomBytes(512))],
    ["past the disk's end", extent({ offsetBytes: 4 * MiB }, randomBytes(512))],
    ["over the disk's end", extent({ offsetBytes: 4 * MiB - 512, lengthBytes: 1024 }, randomBytes(1024))],
    ['with zeros without end', extent({ zero: true, lengthBytes: 0xffff_fe00 })],
    ['at an offset beyond what a number holds', extent({ offsetBytes: 2 ** 63 }, randomBytes(512))],
    ['packed into more than it is', extent({ packedBytes: 512 }, randomBytes(512))],
    ['packed as something else than zstd', extent({ packedBytes: 100 }, randomBytes(100))],
    [
      'packed of another length than it says',
      extent({ packedBytes: packedZeros.length, lengthBytes: 4_096 }, packedZeros),
    ],
    ['of zeros that are packed', extent({ zero: true, packedBytes: packedZeros.length }, packedZeros)],
    ['that is not of whole sectors', extent({ offsetBytes: 100 }, randomBytes(512))],
    ['with an extent of no bytes', extent({ lengthBytes: 0 })],
    ['with an extent of 2 MiB', extent({ lengthBytes: 2 * MiB }, randomBytes(2 * MiB))],
    ['that ends within an extent', extent({ lengthBytes: 1024 }, randomBytes(512))],
    ['that ends within a header', extent({}).subarray(0, 7)],
    ['of rubbish', randomBytes(100_000)],
  ])('%s is refused', async (_, bytes) => {
    await expect(send([bytes])).rejects.toMatchObject(refused('InvalidRequest'));
  });

  test('with progress that is not JSON is refused', async () => {
    const headers = { 'secondsite-progress': '{"disks":' };
    await expect(send([], headers)).rejects.toMatchObject(refused('InvalidRequest'));
  });

  test('longer than 64 MiB is refused before it is read', async () => {
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const { host, port, caCertificatePem: ca, certificatePem: cert, privateKeyPem: key } = identity;
      const outgoing = request({
        host,
        port,
        method: 'POST',
        path: `${cycles(item)}/${cycleId}/extents`,
        ca,
        cert,
        key,
        checkServerIdentity: () => undefined,
        headers: { 'content-length': 65 * MiB },
      });
      outgoing.on('response', (response) => {
        resolve(response.statusCode);
        outgoing.destroy();
      });
      outgoing.on('error', reject);
      outgoing.flushHeaders();
    });
    expect(status).toBe(413);
  });

  test('that is good still comes through, and nothing of the others does harm', async () => {
    const data = randomBytes(64 * 1024);
    expect(await send([extent({ lengthBytes: data.length, offsetBytes: MiB }, data)])).toEqual({
      extents: 1,
    });
    const commit = {
      capturedAtMs: Date.now(),
      consistency: 'CrashConsistent',
      changedBytes: data.length,
      pointRequest: 0,
    };
    expect(await call(`${cycles(item)}/${cycleId}/commit`, commit)).toEqual({ pointSequence: 1 });
    expect(await call(`${cycles(item)}/${cycleId}/commit`, commit)).toEqual({ pointSequence: 1 });
    await server.untilPoint(item.protectedItemId, 1);
    const expected = Buffer.alloc(4 * MiB);
    data.copy(expected, MiB);
    expect(differingBlocks(await restored(item, 1, folder), expected)).toEqual([]);
  });
});

describe('a call', () => {
  test.each<[string, () => Promise<unknown>, string]>([
    ['to no path', () => call('/v1/nothing', {}), 'ResourceNotFound'],
    ['to a path with dots', () => call('/v1/items/../../etc/passwd/cycles', {}), 'ResourceNotFound'],
    ['with a body of the wrong form', () => call(cycles(item), { cycleId: 'x' }), 'InvalidRequest'],
    ['with a body that is too long', () => call(cycles(item), 'x'.repeat(300_000)), 'RequestTooLarge'],
    [
      'that begins a cycle with other disks',
      () =>
        call(cycles(item), cycle({ cycleId: randomUUID(), disks: [{ diskId: 'b', sizeBytes: 4 * MiB }] })),
      'Conflict',
    ],
    [
      'that begins a cycle with a smaller disk',
      () => call(cycles(item), cycle({ cycleId: randomUUID(), disks: [{ diskId: 'a', sizeBytes: MiB }] })),
      'NotSupported',
    ],
    [
      'for a cycle that is not open',
      () => call(`${cycles(item)}/${randomUUID()}/commit`, commitNow()),
      'Conflict',
    ],
  ])('%s is refused', async (_, ask, code) => {
    await expect(ask()).rejects.toMatchObject(refused(code));
  });

  test("for another machine's item finds nothing", async () => {
    const other = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: 4 * MiB }]);
    await assign(server, other);
    const asked = [
      call(cycles(other), cycle()),
      call(`${cycles(other)}/${cycleId}/commit`, commitNow()),
      connection.post({
        path: `${cycles(other)}/${cycleId}/extents`,
        body: undefined,
        buffers: [extent({}, randomBytes(512))],
        answer: z.unknown(),
      }),
    ];
    for (const ended of await Promise.allSettled(asked)) {
      expect(ended).toMatchObject({ status: 'rejected', reason: refused('ResourceNotFound') });
    }
  });

  test('that goes on with a cycle nobody knows is told so, and begins none', async () => {
    const unknown = cycle({ cycleId: randomUUID(), resumes: true, basePoint: 1, baseCycleId: cycleId });
    expect(await call(cycles(item), unknown)).toEqual({ state: 'unknownCycle' });
  });

  test('that stands on another point, or on another cycle of the same number, is told so', async () => {
    const mismatch = { state: 'baseMismatch', lastPoint: 1 };
    const fresh = { cycleId: randomUUID() };
    expect(await call(cycles(item), cycle({ ...fresh, basePoint: 7, baseCycleId: cycleId }))).toEqual(
      mismatch,
    );
    const wrong = cycle({ ...fresh, basePoint: 1, baseCycleId: randomUUID() });
    expect(await call(cycles(item), wrong)).toEqual(mismatch);
  });
});

function commitNow(): object {
  return { capturedAtMs: Date.now(), consistency: 'CrashConsistent', changedBytes: 0, pointRequest: 0 };
}
