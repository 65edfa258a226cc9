import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import { readPoint } from '../../shared/replica/chain.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import { blockBytes, differingBlocks, restored, writeBlocks } from '../fixtures/process-server/images.ts';
import {
  AgentProcess,
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
const agents: AgentProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'disks-'));
  storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
  server = await ServerProcess.start(serverSettings(folder, storage.connectionString));
});

afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  await server.close();
  await storage.close();
  rmSync(folder, { recursive: true, force: true });
});

function image(name: string, bytes: Buffer): string {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
}

/** A machine whose agent has all these disks, and of which some are replicated. */
async function protect(paths: Record<string, string>, diskIds: string[]): Promise<Item> {
  const disks = diskIds.map((diskId) => ({ diskId, sizeBytes: statSync(paths[diskId] ?? '').size }));
  const item = await createItem(storage.connectionString, disks);
  await enrolAgent(agentFolder(item), item.biosUuid, server.port);
  await assign(server, item);
  agents.push(new AgentProcess(agentFolder(item), paths));
  await server.untilPoint(item.protectedItemId, 1);
  return item;
}

function agentFolder(item: Item): string {
  return join(folder, `agent-${item.biosUuid}`);
}

/** Makes a point of what is there now, and tells what it cost. */
async function point(item: Item): Promise<{ sequence: number; uploadedBytes: number }> {
  const sequence = await server.createPoint(item.protectedItemId);
  await server.untilPoint(item.protectedItemId, sequence);
  const first = server.points(item.protectedItemId).filter((one) => one <= sequence);
  const uploadedBytes = first.reduce((sum, one) => sum + server.uploadedBytes(item.protectedItemId, one), 0);
  return { sequence, uploadedBytes };
}

async function disksAt(item: Item, sequence: number): Promise<unknown> {
  const { manifest } = await readPoint(item.log, sequence);
  return manifest.disks.map(({ number, id, sizeBytes }) => [number, id, sizeBytes]);
}

describe('the disks of a replicated machine', () => {
  let item: Item;
  let paths: Record<string, string>;
  let before: Buffer;

  beforeAll(async () => {
    paths = {
      boot: image('boot.raw', randomBytes(6 * MiB)),
      data: image('data.raw', randomBytes(2 * MiB)),
    };
    item = await protect(paths, ['boot']);
    before = readFileSync(paths['boot']!);
  });

  test('may get one more: the next point has all of it, and nothing of the others is sent again', async () => {
    const { uploadedBytes } = await point(item);
    const both = [
      { diskId: 'boot', sizeBytes: 6 * MiB, number: 0 },
      { diskId: 'data', sizeBytes: 2 * MiB, number: 1 },
    ];
    await assign(server, { ...item, disks: both });
    const { sequence, uploadedBytes: after } = await point(item);
    expect(after - uploadedBytes).toBeLessThan(2.2 * MiB);
    expect(await disksAt(item, 1)).toEqual([[0, 'boot', 6 * MiB]]);
    expect(await disksAt(item, sequence)).toEqual([
      [0, 'boot', 6 * MiB],
      [1, 'data', 2 * MiB],
    ]);
    expect(differingBlocks(await restored(item, sequence, folder, 1), readFileSync(paths['data']!))).toEqual(
      [],
    );
  });

  test('may lose one: those that stay keep their numbers, and older points the one that went', async () => {
    const whole = server.points(item.protectedItemId).at(-1)!;
    await assign(server, { ...item, disks: [{ diskId: 'data', sizeBytes: 2 * MiB, number: 1 }] });
    writeBlocks(paths['data']!, [4], () => randomBytes(blockBytes));
    const { sequence } = await point(item);
    expect(await disksAt(item, sequence)).toEqual([[1, 'data', 2 * MiB]]);
    expect(differingBlocks(await restored(item, sequence, folder, 1), readFileSync(paths['data']!))).toEqual(
      [],
    );
    expect(differingBlocks(await restored(item, whole, folder, 0), before)).toEqual([]);
    await expect(restored(item, sequence, folder, 0)).rejects.toThrow('has no disk 0');
  });

  test('may get one back that had gone, with what it holds by now', async () => {
    writeBlocks(paths['boot']!, [0, 5, 6], () => Buffer.alloc(blockBytes));
    const swapped = [
      { diskId: 'data', sizeBytes: 2 * MiB, number: 1 },
      { diskId: 'boot', sizeBytes: 6 * MiB, number: 0 },
    ];
    await assign(server, { ...item, disks: swapped });
    const { sequence } = await point(item);
    for (const [number, name] of [
      [0, 'boot'],
      [1, 'data'],
    ] as const) {
      const found = await restored(item, sequence, folder, number);
      expect(differingBlocks(found, readFileSync(paths[name]!))).toEqual([]);
    }
    expect((await verifyChain(item.log, { deep: true })).defects).toEqual([]);
  });
});

describe('a disk of another size', () => {
  test('that grew is followed by itself; the points before have its former size', async () => {
    const path = image('growing.raw', randomBytes(3 * MiB + 512 * 5));
    const item = await protect({ a: path }, ['a']);
    const first = readFileSync(path);
    const { uploadedBytes } = await point(item);
    truncateSync(path, 5 * MiB);
    writeBlocks(path, [70], () => randomBytes(blockBytes));
    const { sequence, uploadedBytes: after } = await point(item);
    expect(await disksAt(item, sequence)).toEqual([[0, 'a', 5 * MiB]]);
    expect(after - uploadedBytes).toBeLessThan(3 * blockBytes);
    expect(differingBlocks(await restored(item, sequence, folder), readFileSync(path))).toEqual([]);
    expect(differingBlocks(await restored(item, 1, folder), first)).toEqual([]);
    expect((await verifyChain(item.log, { deep: true })).defects).toEqual([]);
  });

  test('that shrank stands still and says so, until it has its former size again', async () => {
    const path = image('shrinking.raw', randomBytes(2 * MiB));
    const item = await protect({ a: path }, ['a']);
    truncateSync(path, MiB);
    const made = server.createPoint(item.protectedItemId);
    const isTold = (): boolean =>
      server.events.some(
        (event) =>
          event.kind === 'progress' &&
          event.item.protectedItemId === item.protectedItemId &&
          event.item.fault?.message.includes('has shrunk from 2097152 to 1048576 bytes') === true,
      );
    await server.until(isTold, 'the disk is told to have shrunk');
    truncateSync(path, 2 * MiB);
    const sequence = await made;
    expect(differingBlocks(await restored(item, sequence, folder), readFileSync(path))).toEqual([]);
  });
});

test('restarts of both sides, and a resynchronization, send nothing that is there already', async () => {
  const path = image('steady.raw', randomBytes(4 * MiB));
  const item = await protect({ a: path }, ['a']);
  await server.kill();
  server = await ServerProcess.start({ ...server.settings, port: server.port });
  await agents.pop()!.kill();
  agents.push(new AgentProcess(agentFolder(item), { a: path }));
  writeBlocks(path, [9], () => randomBytes(blockBytes));
  const { protectedItemId } = item;
  const asked = await server.ask({ name: 'resynchronize', protectedItemId });
  expect(asked).toEqual({ resyncRequest: 1 });
  const { sequence } = await point(item);
  expect(server.uploadedBytes(protectedItemId, sequence)).toBeLessThan(2 * blockBytes);
  expect(differingBlocks(await restored(item, sequence, folder), readFileSync(path))).toEqual([]);
  const phases = server.events.flatMap((event) =>
    event.kind === 'progress' && event.item.protectedItemId === protectedItemId ? [event.item.phase] : [],
  );
  expect(phases).toContain('Resync');
  const { progress } = await server.look();
  const mine = progress.find((one) => one.protectedItemId === protectedItemId);
  expect(mine).toMatchObject({ resync: { asked: 1, done: 1 }, phase: 'Waiting' });
});

describe('a cycle that is too long for one manifest', () => {
  test('is saved in parts that are not offered, also when the process server dies in it', async () => {
    const path = image('long.raw', randomBytes(40 * MiB));
    const limits = { segmentBytes: MiB, segmentsPerPoint: 4 };
    const settings = serverSettings(join(folder, 'small'), storage.connectionString, { limits });
    let small = await ServerProcess.start(settings);
    const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: 40 * MiB }]);
    await enrolAgent(agentFolder(item), item.biosUuid, small.port);
    await assign(small, item);
    const agent = new AgentProcess(agentFolder(item), { a: path });
    try {
      await small.untilPoint(item.protectedItemId, 2);
      await small.kill();
      small = await ServerProcess.start({ ...settings, port: small.port });
      const sequence = await small.createPoint(item.protectedItemId);
      expect(differingBlocks(await restored(item, sequence, folder), readFileSync(path))).toEqual([]);
      const kinds: string[] = [];
      for (let at = 1; at <= sequence; at += 1) {
        const { manifest } = await readPoint(item.log, at);
        expect(manifest.segments.length).toBeLessThanOrEqual(4);
        kinds.push(manifest.consistency);
      }
      expect(kinds.slice(0, 2)).toEqual(['NotConsistent', 'NotConsistent']);
      expect(kinds.at(-1)).toBe('CrashConsistent');
      expect((await verifyChain(item.log, { deep: true })).defects).toEqual([]);
    } finally {
      await agent.stop();
      await small.close();
    }
  });
});
