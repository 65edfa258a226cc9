import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes, randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { GiB, MiB } from '../../shared/bytes.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import {
  blockBytes,
  compressedBytes,
  differingBlocks,
  makeImage,
  pickBlocks,
  restored,
  textOf,
  writeBlocks,
} from '../fixtures/process-server/images.ts';
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
  folder = mkdtempSync(join(tmpdir(), 'replication-'));
  storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
  server = await ServerProcess.start(serverSettings(folder, storage.connectionString));
});

afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  await server.close();
  await storage.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A machine with its own agent, replicated from now on. */
async function protect(images: string[]): Promise<Item> {
  const disks = images.map((path, index) => ({ diskId: `disk-${index}`, sizeBytes: statSync(path).size }));
  const item = await createItem(storage.connectionString, disks);
  const dataFolder = join(folder, `agent-${item.biosUuid}`);
  await enrolAgent(dataFolder, item.biosUuid, server.port);
  await assign(server, item);
  const paths = Object.fromEntries(images.map((path, index) => [`disk-${index}`, path]));
  agents.push(new AgentProcess(dataFolder, paths));
  return item;
}

async function uploadedFor(item: Item, sequence: number): Promise<number> {
  await server.untilPoint(item.protectedItemId, sequence);
  return server.uploadedBytes(item.protectedItemId, sequence);
}

describe('a machine with two disks', () => {
  let item: Item;
  let images: string[];
  const held: Buffer[][] = [];

  beforeAll(async () => {
    images = [join(folder, 'boot.raw'), join(folder, 'data.raw')];
    makeImage(images[0]!, 12 * MiB + 512 * 7);
    makeImage(images[1]!, 5 * MiB);
    item = await protect(images);
    await server.untilPoint(item.protectedItemId, 1);
    held.push(images.map((path) => readFileSync(path)));
  });

  test('has what the disks held at every point', async () => {
    writeBlocks(images[0]!, [0, 1, 2, 50], () => randomBytes(blockBytes));
    writeBlocks(images[1]!, [79], () => Buffer.alloc(blockBytes)); // zeros where there was something
    held.push(images.map((path) => readFileSync(path)));
    expect(await server.createPoint(item.protectedItemId)).toBe(2);
    const [last] = [Math.floor(statSync(images[0]!).size / blockBytes)];
    writeBlocks(images[0]!, [last], () => randomBytes(512 * 7)); // the short block at the end
    held.push(images.map((path) => readFileSync(path)));
    expect(await server.createPoint(item.protectedItemId)).toBe(3);
    for (const [index, disks] of held.entries()) {
      for (const [disk, bytes] of disks.entries()) {
        const found = await restored(item, index + 1, folder, disk);
        expect(differingBlocks(found, bytes)).toEqual([]);
      }
    }
    expect((await verifyChain(item.log)).defects).toEqual([]);
  });

  test('uploads no segment when nothing changed', async () => {
    const before = await segments(item);
    const sequence = await server.createPoint(item.protectedItemId);
    expect(await uploadedFor(item, sequence)).toBe(0);
    expect(await segments(item)).toEqual(before);
  });

  test('tells of every point until it is confirmed', async () => {
    await server.ask({ name: 'confirm', protectedItemId: item.protectedItemId, sequence: 1 });
    const { progress } = await server.look();
    const mine = progress.find(({ protectedItemId }) => protectedItemId === item.protectedItemId);
    expect(mine).toMatchObject({ phase: 'Waiting' });
    expect(mine?.disks.map(({ processedBytes, totalBytes }) => totalBytes - processedBytes)).toEqual([0, 0]);
  });
});

async function segments(item: Item): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of item.log.store.list('log/')) names.push(name);
  return names;
}

test('a delta of 1 % costs what changed', async () => {
  const image = join(folder, 'large.raw');
  writeFileSync(image, '');
  truncateSync(image, GiB);
  writeBlocks(image, pickBlocks(image, 200), (block) => textOf(blockBytes, block));
  const item = await protect([image]);
  await server.untilPoint(item.protectedItemId, 1);
  const changed = pickBlocks(image, Math.round(GiB / blockBytes / 100));
  writeBlocks(image, changed, (block) =>
    block % 3 === 0 ? randomBytes(blockBytes) : textOf(blockBytes, block),
  );
  const sequence = await server.createPoint(item.protectedItemId);
  const uploaded = await uploadedFor(item, sequence);
  expect(uploaded).toBeLessThanOrEqual(1.15 * compressedBytes(image, changed) + 64 * 1024);
  expect(uploaded).toBeGreaterThan(0);
});

/** Every so-manyth block of an image of 48 MiB. */
function everyNth(step: number): number[] {
  return Array.from({ length: (48 * MiB) / blockBytes / step }, (_, index) => index * step);
}

describe('changes of any shape', () => {
  let image: string;
  let item: Item;

  beforeAll(async () => {
    image = join(folder, 'shapes.raw');
    makeImage(image, 48 * MiB);
    item = await protect([image]);
    await server.untilPoint(item.protectedItemId, 1);
  });

  test.each<[string, () => void]>([
    [
      'one block in every MiB',
      () => writeBlocks(image, everyNth(16), (block) => textOf(blockBytes, block + 7)),
    ],
    ['every other block', () => writeBlocks(image, everyNth(2), () => randomBytes(blockBytes))],
    [
      'all but one block of every MiB',
      () =>
        writeBlocks(
          image,
          everyNth(1).filter((block) => block % 16 !== 3),
          () => randomBytes(blockBytes),
        ),
    ],
    ['all of it to zeros', () => writeBlocks(image, everyNth(1), () => Buffer.alloc(blockBytes))],
    ['all of it', () => makeImage(image, 48 * MiB)],
  ])('%s', async (_, change) => {
    change();
    const sequence = await server.createPoint(item.protectedItemId);
    expect(differingBlocks(await restored(item, sequence, folder), readFileSync(image))).toEqual([]);
  });
});

describe('when one side forgot', () => {
  test('an agent without its state sends everything again, zeros too', async () => {
    const image = join(folder, 'forgetful.raw');
    makeImage(image, 6 * MiB);
    const item = await protect([image]);
    await server.untilPoint(item.protectedItemId, 1);
    await agents.pop()!.stop();
    writeBlocks(image, [8, 9], () => Buffer.alloc(blockBytes));
    const dataFolder = join(folder, `agent-${item.biosUuid}`);
    rmSync(join(dataFolder, 'items'), { recursive: true });
    agents.push(new AgentProcess(dataFolder, { 'disk-0': image }));
    await server.untilPoint(item.protectedItemId, 2);
    expect(differingBlocks(await restored(item, 2, folder), readFileSync(image))).toEqual([]);
  });

  test('an agent with the state of an earlier day sends everything again', async () => {
    const image = join(folder, 'earlier.raw');
    makeImage(image, 6 * MiB);
    const item = await protect([image]);
    await server.untilPoint(item.protectedItemId, 1);
    const dataFolder = join(folder, `agent-${item.biosUuid}`);
    const state = join(dataFolder, 'items', item.protectedItemId, 'state.json');
    copyFileSync(state, join(folder, 'earlier.json'));
    writeBlocks(image, [20], () => randomBytes(blockBytes));
    await server.createPoint(item.protectedItemId);
    await agents.pop()!.stop();
    copyFileSync(join(folder, 'earlier.json'), state);
    writeBlocks(image, [21], () => randomBytes(blockBytes));
    agents.push(new AgentProcess(dataFolder, { 'disk-0': image }));
    const sequence = await server.createPoint(item.protectedItemId);
    expect(sequence).toBeGreaterThan(2);
    expect(differingBlocks(await restored(item, sequence, folder), readFileSync(image))).toEqual([]);
  });

  test('an agent whose block map was cut short sends everything again', async () => {
    const image = join(folder, 'cut.raw');
    makeImage(image, 6 * MiB);
    const item = await protect([image]);
    await server.untilPoint(item.protectedItemId, 1);
    const state = join(folder, `agent-${item.biosUuid}`, 'items', item.protectedItemId);
    const { baseCycleId } = JSON.parse(readFileSync(join(state, 'state.json'), 'utf8')) as {
      baseCycleId: string;
    };
    for (const name of readdirSync(state)) {
      if (name.startsWith(baseCycleId)) truncateSync(join(state, name), 100);
    }
    writeBlocks(image, [3], () => randomBytes(blockBytes));
    const sequence = await server.createPoint(item.protectedItemId);
    expect(differingBlocks(await restored(item, sequence, folder), readFileSync(image))).toEqual([]);
  });

  test('a process server without its state lets the agent send everything into a new log', async () => {
    const image = join(folder, 'moved.raw');
    makeImage(image, 6 * MiB);
    const item = await protect([image]);
    await server.untilPoint(item.protectedItemId, 1);
    await agents.pop()!.stop();
    // The same item and the same agent at a process server that never heard of them, with an empty container.
    const emptied = await startStorage({ dataFolder: join(folder, 'other-storage'), inMemory: true });
    const other = await ServerProcess.start(serverSettings(join(folder, 'other'), emptied.connectionString));
    try {
      const again = await createItem(emptied.connectionString, item.disks, item.biosUuid, item);
      const dataFolder = join(folder, `agent-${item.biosUuid}`);
      await enrolAgent(dataFolder, item.biosUuid, other.port);
      await assign(other, again);
      const agent = new AgentProcess(dataFolder, { 'disk-0': image });
      await other.untilPoint(item.protectedItemId, 1);
      expect(differingBlocks(await restored(again, 1, folder), readFileSync(image))).toEqual([]);
      await agent.stop();
    } finally {
      await other.close();
      await emptied.close();
    }
  });

  test('a process server without its state overwrites nothing of a log that is there, and says so', async () => {
    const image = join(folder, 'kept.raw');
    makeImage(image, 2 * MiB);
    const item = await protect([image]);
    await server.untilPoint(item.protectedItemId, 1);
    await agents.pop()!.stop();
    const before = readFileSync(image);
    const other = await ServerProcess.start(
      serverSettings(join(folder, 'newcomer'), storage.connectionString),
    );
    try {
      const dataFolder = join(folder, `agent-${item.biosUuid}`);
      await enrolAgent(dataFolder, item.biosUuid, other.port);
      await assign(other, item);
      writeBlocks(image, [1], () => randomBytes(blockBytes));
      const agent = new AgentProcess(dataFolder, { 'disk-0': image });
      const refused = (): boolean =>
        other.events.some((event) => event.kind === 'progress' && event.item.fault?.code === 'Conflict');
      await other.until(refused, 'the process server says that the log is not its own');
      expect(other.points(item.protectedItemId)).toEqual([]);
      expect(differingBlocks(await restored(item, 1, folder), before)).toEqual([]);
      await agent.stop();
    } finally {
      await other.close();
    }
  });
});

describe('what an item is', () => {
  test('assigning it again as it is changes nothing', async () => {
    const image = join(folder, 'twice.raw');
    makeImage(image, 2 * MiB);
    const item = await protect([image]);
    await server.untilPoint(item.protectedItemId, 1);
    await assign(server, item, { crashConsistentMinutes: 60, appConsistentMinutes: 0 });
    expect(await server.createPoint(item.protectedItemId)).toBe(2);
  });

  test('assigning it with another key, or its number to another disk, is refused', async () => {
    const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: MiB }]);
    await assign(server, item);
    const other = { ...item, disks: [{ diskId: 'b', sizeBytes: MiB, number: 0 }] };
    await expect(assign(server, other)).rejects.toMatchObject({ code: 'Conflict' });
    const renumbered = { ...item, disks: [{ diskId: 'a', sizeBytes: MiB, number: 1 }] };
    await expect(assign(server, renumbered)).rejects.toMatchObject({ code: 'Conflict' });
    const otherKey = { ...item, dataKey: randomBytes(32) };
    await expect(assign(server, otherKey)).rejects.toMatchObject({ code: 'Conflict' });
  });

  test('what is no longer assigned is forgotten by both, and its waiting point refused', async () => {
    const image = join(folder, 'gone.raw');
    makeImage(image, 2 * MiB);
    const item = await protect([image]);
    const { protectedItemId } = item;
    await server.untilPoint(protectedItemId, 1);
    await agents.pop()!.stop();
    const waiting = server.createPoint(protectedItemId).catch((error: unknown) => error);
    await server.ask({ name: 'unassign', protectedItemId });
    await server.ask({ name: 'unassign', protectedItemId });
    expect(await waiting).toMatchObject({ code: 'ResourceNotFound' });
    const unknown = server.createPoint(randomUUID());
    await expect(unknown).rejects.toMatchObject({ code: 'ResourceNotFound' });
  });
});
