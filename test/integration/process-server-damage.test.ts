import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import { readPoint } from '../../shared/replica/chain.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import type { ItemProgress } from '../../shared/wire/check-in.ts';
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
  folder = mkdtempSync(join(tmpdir(), 'damage-'));
  storage = await startStorage({ dataFolder: join(folder, 'storage') });
  server = await ServerProcess.start(serverSettings(folder, storage.connectionString));
});

afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  await server.close();
  await storage.close();
  rmSync(folder, { recursive: true, force: true });
});

async function protect(path: string): Promise<{ item: Item; agent: AgentProcess }> {
  const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: statSync(path).size }]);
  const dataFolder = join(folder, `agent-${item.biosUuid}`);
  await enrolAgent(dataFolder, item.biosUuid, server.port);
  await assign(server, item);
  const agent = new AgentProcess(dataFolder, { a: path });
  agents.push(agent);
  return { item, agent };
}

async function bringStorageBack(): Promise<void> {
  storage = await startStorage({ dataFolder: join(folder, 'storage'), ports: storage.ports });
}

/** The spool's files of an item, oldest first. */
function spooled({ protectedItemId }: Item): string[] {
  const spool = join(server.settings.dataFolder, 'spool', protectedItemId);
  return readdirSync(spool)
    .toSorted((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10))
    .map((name) => join(spool, name));
}

function overwrite(path: string, at: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, randomBytes(64), 0, 64, at);
  closeSync(file);
}

function told({ protectedItemId }: Item): ItemProgress[] {
  return server.events.flatMap((event) =>
    event.kind === 'progress' && event.item.protectedItemId === protectedItemId ? [event.item] : [],
  );
}

async function isHealed(item: Item): Promise<void> {
  await server.until(() => told(item).at(-1)?.damage === undefined, 'the damage is history');
  expect((await verifyChain(item.log, { deep: true })).defects).toEqual([]);
}

/** Two points with one changed block each that wait for their upload; resolves when both are in the spool. */
async function makeWaitingPoints(item: Item, agent: AgentProcess, path: string): Promise<Promise<number>[]> {
  const made: Promise<number>[] = [];
  for (const sequence of [2, 3]) {
    writeBlocks(path, [sequence * 10, sequence * 10 + 1], () => randomBytes(blockBytes));
    made.push(server.createPoint(item.protectedItemId));
    await agent.line(({ kind, pointSequence }) => kind === 'point' && pointSequence === sequence);
  }
  return made;
}

describe('a cache disk that loses what was acknowledged', () => {
  test.each<[string, (path: string) => void]>([
    ['a file is gone', (path) => rmSync(path)],
    ['a file is shorter', (path) => truncateSync(path, 1_000)],
    ['a file has other bytes', (path) => overwrite(path, 70_000)],
  ])('sends what was lost again, and no point claims it meanwhile: %s', async (name, damage) => {
    const path = join(folder, `${name}.raw`);
    writeFileSync(path, randomBytes(8 * MiB));
    const { item, agent } = await protect(path);
    await server.untilPoint(item.protectedItemId, 1);
    await storage.close();
    const made = await makeWaitingPoints(item, agent, path);
    const [damaged = ''] = spooled(item);
    damage(damaged);
    await bringStorageBack();
    const sequences = await Promise.all(made);
    expect(Math.min(...sequences)).toBeGreaterThan(3);
    for (const sequence of [2, 3]) {
      expect((await readPoint(item.log, sequence)).manifest.consistency).toBe('NotConsistent');
    }
    const lost = told(item).find((progress) => progress.damage !== undefined)?.damage;
    expect(lost).toMatchObject({ lostBytes: 2 * blockBytes });
    const healed = Math.min(...sequences);
    expect(server.uploadedBytes(item.protectedItemId, healed)).toBeLessThan(MiB);
    expect(differingBlocks(await restored(item, healed, folder), readFileSync(path))).toEqual([]);
    await isHealed(item);
  });

  test('while the process server was down: it is found at the start', async () => {
    const path = join(folder, 'start.raw');
    writeFileSync(path, randomBytes(8 * MiB));
    const { item, agent } = await protect(path);
    await server.untilPoint(item.protectedItemId, 1);
    await storage.close();
    const made = await makeWaitingPoints(item, agent, path);
    for (const one of made) one.catch(() => {}); // its answer dies with the server
    const [damaged = ''] = spooled(item);
    await server.kill();
    rmSync(damaged);
    server = await ServerProcess.start({ ...server.settings, port: server.port });
    expect(told(item).some((progress) => progress.damage !== undefined)).toBe(true);
    await bringStorageBack();
    const sequence = await server.createPoint(item.protectedItemId);
    expect(differingBlocks(await restored(item, sequence, folder), readFileSync(path))).toEqual([]);
    await isHealed(item);
  });

  test('in the middle of an unfinished segment: the first replication is whole all the same', async () => {
    const path = join(folder, 'unfinished.raw');
    writeFileSync(path, randomBytes(40 * MiB));
    await server.close();
    server = await ServerProcess.start({ ...server.settings, port: server.port, spoolLimitBytes: MiB });
    const { item, agent } = await holdBack(path);
    await server.kill();
    const unfinished = spooled(item).at(-1) ?? '';
    expect(statSync(unfinished).size).toBeGreaterThan(MiB);
    overwrite(unfinished, 600_000);
    const { spoolLimitBytes: _, ...settings } = server.settings;
    server = await ServerProcess.start({ ...settings, port: server.port });
    await bringStorageBack();
    await server.untilPoint(item.protectedItemId, 1);
    expect(told(item).some((progress) => (progress.damage?.lostBytes ?? 0) > 0)).toBe(true);
    expect(agent.hasEnded).toBe(false);
    const last = server.points(item.protectedItemId).at(-1) ?? 0;
    expect(differingBlocks(await restored(item, last, folder), readFileSync(path))).toEqual([]);
    await isHealed(item);
  });
});

/** An item whose first replication stands still because the storage is away and the spool is full. */
async function holdBack(path: string): Promise<{ item: Item; agent: AgentProcess }> {
  const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: statSync(path).size }]);
  await storage.close();
  const dataFolder = join(folder, `agent-${item.biosUuid}`);
  await enrolAgent(dataFolder, item.biosUuid, server.port);
  await assign(server, item);
  const agent = new AgentProcess(dataFolder, { a: path });
  agents.push(agent);
  await agent.line(({ kind }) => kind === 'fault');
  return { item, agent };
}
