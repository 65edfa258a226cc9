import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Connection } from '../../appliance/mobility-agent/connection.ts';
import { runCycle, type MadePoint } from '../../appliance/mobility-agent/cycle.ts';
import type { DiskSource, Piece } from '../../appliance/mobility-agent/disk-source.ts';
import { loadIdentity } from '../../appliance/mobility-agent/identity.ts';
import { ImageFile } from '../../appliance/mobility-agent/image-file.ts';
import { ItemState } from '../../appliance/mobility-agent/item-state.ts';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import { differingBlocks, makeImage, restored, writeBlocks } from '../fixtures/process-server/images.ts';
import {
  AgentProcess,
  assign,
  createItem,
  enrolAgent,
  runAgentCommand,
  ServerProcess,
  serverSettings,
} from '../fixtures/process-server/site.ts';

let folder: string;
let storage: Storage;
let server: ServerProcess;
const agents: AgentProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'standstill-'));
  storage = await startStorage({ dataFolder: join(folder, 'storage') });
  const settings = serverSettings(folder, storage.connectionString, { spoolLimitBytes: MiB });
  server = await ServerProcess.start(settings);
});

afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  await server.close();
  await storage.close();
  rmSync(folder, { recursive: true, force: true });
});

/** An image that somebody writes to whenever it is read. */
class BusyImage extends ImageFile {
  constructor(path: string) {
    super('a', path);
  }

  override async *compare(...given: Parameters<ImageFile['compare']>): AsyncIterable<Piece> {
    for await (const piece of super.compare(...given)) {
      writeBlocks(this.path, [3], () => randomBytes(512));
      yield piece;
    }
  }
}

async function startAgent(biosUuid: string, disks: Record<string, string>): Promise<AgentProcess> {
  const dataFolder = join(folder, `agent-${biosUuid}`);
  await enrolAgent(dataFolder, biosUuid, server.port);
  const agent = new AgentProcess(dataFolder, disks);
  agents.push(agent);
  return agent;
}

describe('while the storage is away', () => {
  test('agents are held back when the spool is full, and all goes on afterwards', async () => {
    const image = join(folder, 'random.raw');
    writeFileSync(image, randomBytes(40 * MiB));
    const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: 40 * MiB }]);
    const { ports } = storage;
    await storage.close();
    await assign(server, item);
    const agent = await startAgent(item.biosUuid, { a: image });
    const held = await agent.line(({ kind }) => kind === 'fault');
    expect(held).toMatchObject({ fault: { code: 'Unavailable' } });
    expect(JSON.stringify(held)).toContain('The cache disk of the process server is full');
    const isTold = (): boolean =>
      server.events.some((event) => event.kind === 'progress' && event.item.fault !== undefined);
    await server.until(isTold, 'the vault would hear of it');
    storage = await startStorage({ dataFolder: join(folder, 'storage'), ports });
    await server.untilPoint(item.protectedItemId, 1);
    expect(differingBlocks(await restored(item, 1, folder), readFileSync(image))).toEqual([]);
    expect((await server.look()).health).toMatchObject({ pendingUploadBytes: 0, replicatingMachines: 1 });
  });
});

describe('disks', () => {
  test('that can not be protected are told at once, with what to do', async () => {
    const biosUuid = randomUUID();
    const file = (name: string, sizeBytes: number): string => {
      writeFileSync(join(folder, name), Buffer.alloc(sizeBytes));
      return join(folder, name);
    };
    await startAgent(biosUuid, {
      missing: join(folder, 'missing.raw'),
      empty: file('empty.raw', 0),
      odd: file('odd.raw', 1000),
      folder,
      good: file('good.raw', 2048),
    });
    const prepare = (diskId: string, sizeBytes = 2048): Promise<unknown> =>
      server.ask({ name: 'prepare', biosUuid, disks: [{ diskId, sizeBytes }] });
    await expect(prepare('missing')).rejects.toThrow('there is no such file');
    await expect(prepare('empty')).rejects.toThrow('it is empty');
    await expect(prepare('odd')).rejects.toThrow('is not a multiple of 512');
    await expect(prepare('folder')).rejects.toThrow('it is not a file');
    await expect(prepare('unheard-of')).rejects.toThrow('knows no disk unheard-of');
    await expect(prepare('good', 4096)).rejects.toThrow('has another size');
    await expect(prepare('good')).resolves.toMatchObject({ biosUuid });
  });

  test('that are written to while they are read make a point of no one moment, and the next is good', async () => {
    const image = join(folder, 'busy.raw');
    makeImage(image, 4 * MiB);
    const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: 4 * MiB }]);
    await assign(server, item);
    const dataFolder = join(folder, 'busy-agent');
    await enrolAgent(dataFolder, item.biosUuid, server.port);
    const connection = new Connection(loadIdentity(dataFolder));
    const makePoint = (source: DiskSource): Promise<MadePoint> =>
      runCycle({
        connection,
        item: {
          ...item,
          crashConsistentMinutes: 5,
          appConsistentMinutes: 0,
          pointRequest: 0,
          resyncRequest: 0,
          lastPoint: 0,
        },
        state: new ItemState(dataFolder, item.protectedItemId),
        sources: [source],
        live: { freezeLimitMs: 1_000, whenNotConsistent: 'mark', hooks: undefined },
        onFrozen: () => {},
        onProgress: () => {},
        onStall: () => {},
        signal: new AbortController().signal,
      });
    expect(await makePoint(new BusyImage(image))).toMatchObject({ consistency: 'NotConsistent' });
    const made = await makePoint(new ImageFile('a', image));
    expect(made).toMatchObject({ consistency: 'CrashConsistent', pointSequence: 2 });
    connection.close();
    await server.untilPoint(item.protectedItemId, 2);
    expect(differingBlocks(await restored(item, 2, folder), readFileSync(image))).toEqual([]);
  });

  test('that are gone after a while stop their machine only, and the agent says why', async () => {
    const image = join(folder, 'unplugged.raw');
    makeImage(image, MiB);
    const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: MiB }]);
    await assign(server, item);
    const agent = await startAgent(item.biosUuid, { a: image });
    await server.untilPoint(item.protectedItemId, 1);
    const kept = readFileSync(image);
    rmSync(image);
    const point = server.createPoint(item.protectedItemId);
    const told = await agent.line(({ kind }) => kind === 'fault');
    expect(told).toMatchObject({ fault: { code: 'RemoteFailure', target: 'a' } });
    expect(JSON.stringify(told)).toContain('there is no such file');
    const dataFolder = join(folder, `agent-${item.biosUuid}`);
    const status = await runAgentCommand(['status', '--data-folder', dataFolder]);
    expect(status.out).toContain('stands still');
    writeFileSync(image, kept);
    expect(await point).toBe(2);
  });
});

test('no secret is written in the clear', async () => {
  const image = join(folder, 'secret.raw');
  makeImage(image, 2 * MiB);
  const item = await createItem(storage.connectionString, [{ diskId: 'a', sizeBytes: statSync(image).size }]);
  await assign(server, item);
  await startAgent(item.biosUuid, { a: image });
  await server.untilPoint(item.protectedItemId, 1);
  await server.close();
  const { dataFolder, passphrase } = server.settings;
  const files = readdirSync(dataFolder, { recursive: true, withFileTypes: true });
  for (const file of files.filter((entry) => entry.isFile())) {
    const path = join(file.parentPath, file.name);
    const bytes = readFileSync(path);
    for (const secret of [item.dataKey, item.dataKey.toString('hex'), item.dataKey.toString('base64')]) {
      expect([path, bytes.includes(secret)]).toEqual([path, false]);
    }
    expect([path, bytes.includes(passphrase)]).toEqual([path, false]);
    expect([path, statSync(path).mode & 0o077]).toEqual([path, 0]);
  }
});
