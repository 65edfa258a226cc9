import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import { readPoint } from '../../shared/replica/chain.ts';
import { FileTarget } from '../../shared/replica/file-target.ts';
import { restoreDisk } from '../../shared/replica/restore.ts';
import {
  AgentProcess,
  assign,
  createItem,
  enrolAgent,
  serverSettings,
  ServerProcess,
  type Item,
} from '../fixtures/process-server/site.ts';
import { inspectCopies } from './copy-check.ts';
import { run, whyNotHere, Workshop, type LoopDisk } from './loop-disk.ts';
import { Writers } from './writers.ts';

const reason = whyNotHere();
const where = reason === undefined ? '' : ` (not here: ${reason})`;

describe.skipIf(reason)(`an agent on live disks${where}`, { timeout: 300_000 }, () => {
  let workshop: Workshop;
  let storage: Storage;
  let server: ServerProcess;
  let agent: AgentProcess;
  let item: Item;
  let disks: LoopDisk[];
  let writers: Writers;
  let devices: Record<string, string>;
  let agentFolder: string;

  beforeAll(async () => {
    workshop = new Workshop();
    storage = await startStorage({ dataFolder: join(workshop.folder, 'storage'), inMemory: true });
    disks = [workshop.disk('ext4', 256 * MiB), workshop.disk('xfs', 320 * MiB)];
    disks[0]!.format('ext4');
    disks[1]!.format('xfs');
    const folders = disks.map((disk) => disk.mount());
    devices = Object.fromEntries(disks.map(({ path }, at) => [`disk-${at}`, path]));
    item = await createItem(storage.connectionString, [
      { diskId: 'disk-0', sizeBytes: 256 * MiB },
      { diskId: 'disk-1', sizeBytes: 320 * MiB },
    ]);
    server = await ServerProcess.start(serverSettings(workshop.folder, storage.connectionString));
    // Its own data folder lies on a protected disk: nothing in it may be touched while that is frozen.
    agentFolder = join(folders[0]!, 'agent');
    await enrolAgent(agentFolder, item.biosUuid, server.port);
    writers = new Writers(folders[0]!, folders[1]!);
    agent = new AgentProcess(agentFolder, devices);
    await assign(server, item);
  });

  afterAll(async () => {
    await agent.kill();
    await writers.stop();
    await server.close();
    await storage.close();
    workshop.close();
  });

  async function restore(sequence: number): Promise<LoopDisk[]> {
    const paths = disks.map((_, disk) => join(workshop.folder, `point-${sequence}-${disk}`));
    for (const [disk, path] of paths.entries())
      await restoreDisk({ log: item.log, point: { sequence }, disk, target: new FileTarget(path, 'raw') });
    return paths.map((path) => workshop.open(path));
  }

  function pointLine(sequence: number): Promise<Record<string, unknown>> {
    return agent.line(({ kind, pointSequence }) => kind === 'point' && pointSequence === sequence);
  }

  it('replicates them while programs write, and goes on after it was killed', async () => {
    await server.untilPoint(item.protectedItemId, 1);
    expect(await pointLine(1)).toMatchObject({
      consistency: 'CrashConsistent',
      live: { compared: 'its changes were not followed yet', unfreezable: [] },
    });
    const second = await server.createPoint(item.protectedItemId);
    const { live } = await pointLine(second);
    expect(live).not.toHaveProperty('compared');
    await agent.kill();
    agent = new AgentProcess(agentFolder, devices);
    const third = await server.createPoint(item.protectedItemId);
    expect(await pointLine(third)).toHaveProperty('live.compared');
    await server.untilPoint(item.protectedItemId, third);
    expect(writers.areAtWork).toBe(true);
  });

  it('made points of one moment each', async () => {
    const last = Math.max(...server.points(item.protectedItemId));
    expect(last).toBeGreaterThanOrEqual(3);
    let before = 0;
    for (let sequence = 1; sequence <= last; sequence += 1) {
      expect((await readPoint(item.log, sequence)).manifest.consistency).toBe('CrashConsistent');
      const [ext4, xfs] = await restore(sequence);
      const { defects, progress } = inspectCopies(ext4!, xfs!);
      expect(defects).toEqual([]);
      expect(progress).toBeGreaterThanOrEqual(before);
      before = progress;
    }
    expect(before).toBeGreaterThan(0);
  });

  it('sends next to nothing again after a restart when nothing was written', async () => {
    await writers.stop();
    // What was copied for the first point is read again after it, and known from the second on.
    for (let point = 1; point <= 2; point += 1)
      await pointLine(await server.createPoint(item.protectedItemId));
    await agent.kill();
    agent = new AgentProcess(agentFolder, devices);
    const { changedBytes, live } = await pointLine(await server.createPoint(item.protectedItemId));
    expect(live).toHaveProperty('compared');
    expect(changedBytes).toBeLessThan(2 * MiB); // the agent's own files lie on the disk too
  });

  it('leaves no trace instance behind when it is stopped', async () => {
    expect(await agent.stop()).toBe(0);
    expect(run('ls', ['/sys/kernel/tracing/instances'])).not.toContain(`secondsite-${agent.processId}-`);
  });
});
