import { randomBytes, randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import {
  blockBytes,
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
let agent: AgentProcess;
let item: Item;
let image: string;
let dataFolder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'crash-'));
  storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
  server = await ServerProcess.start(serverSettings(folder, storage.connectionString));
  image = join(folder, 'disk.raw');
  makeImage(image, 64 * MiB);
  item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: statSync(image).size }]);
  dataFolder = join(folder, 'agent');
  await enrolAgent(dataFolder, item.biosUuid, server.port);
  await assign(server, item);
});

afterAll(async () => {
  await agent.stop();
  await server.close();
  await storage.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Kills one side or both at a random moment of a cycle, and starts them again. */
async function killAndStart(who: 'server' | 'agent' | 'both'): Promise<void> {
  await agent.line(({ kind }) => kind === 'connected');
  await delay(randomInt(600)); // the moment
  if (who !== 'agent') await server.kill();
  if (who !== 'server') await agent.kill();
  if (who !== 'agent') {
    const settings = { ...server.settings, port: server.port };
    server = await ServerProcess.start(settings);
  }
  if (who !== 'server') agent = new AgentProcess(dataFolder, { a: image });
}

test.each<['initial replication' | 'delta', ('server' | 'agent' | 'both')[]]>([
  ['initial replication', ['server', 'agent', 'both']],
  ['delta', ['agent', 'server']],
  ['delta', ['both', 'agent']],
])('%s: what is killed again and again becomes exact', { timeout: 120_000 }, async (kind, kills) => {
  if (kind === 'initial replication') agent = new AgentProcess(dataFolder, { a: image });
  else {
    const changed = pickBlocks(image, 700);
    writeBlocks(image, changed, (block) => (block % 2 ? randomBytes(blockBytes) : textOf(blockBytes, block)));
    writeBlocks(image, pickBlocks(image, 40), () => Buffer.alloc(blockBytes));
  }
  for (const who of kills) {
    // Its answer dies with the server; what counts is that the agent is busy.
    server.createPoint(item.protectedItemId).catch(() => {});
    await killAndStart(who);
  }
  const sequence = await server.createPoint(item.protectedItemId);
  expect(differingBlocks(await restored(item, sequence, folder), readFileSync(image))).toEqual([]);
  expect((await verifyChain(item.log, { deep: true })).defects).toEqual([]);
});
