import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, openSync, closeSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentProduct } from '../../appliance/mobility-agent/product.ts';
import { describeUnit } from '../../appliance/service/systemd-keeper.ts';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { MiB } from '../../shared/bytes.ts';
import {
  assign,
  createItem,
  serverSettings,
  ServerProcess,
  type Item,
} from '../fixtures/process-server/site.ts';
import { PackageShelf } from '../fixtures/target-machine/packages.ts';
import { TargetMachine, whyNoTargetMachine } from '../fixtures/target-machine/target-machine.ts';

const reason = whyNoTargetMachine();
const where = reason === undefined ? '' : ` (not here: ${reason})`;
const diskBytes = 32 * MiB;

describe.skipIf(reason)(`the mobility agent's package${where}`, { timeout: 300_000 }, () => {
  let folder: string;
  let shelf: PackageShelf;
  let storage: Storage;
  let server: ServerProcess;
  let machine: TargetMachine;
  let item: Item;
  let disk: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'secondsite-test-'));
    shelf = new PackageShelf(folder);
    storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
    server = await ServerProcess.start(serverSettings(folder, storage.connectionString));
    item = await createItem(storage.connectionString, [{ diskId: 'disk-2000', sizeBytes: diskBytes }]);
    machine = await TargetMachine.start(item.biosUuid);
    disk = join(folder, 'disk.raw');
    writeFileSync(disk, randomBytes(diskBytes));
  }, 300_000);

  afterAll(async () => {
    await machine.close();
    await server.close();
    await storage.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function install(path: string, ...options: string[]) {
    return machine.run(['sh', path, ...options], `${server.settings.passphrase}\n`);
  }

  async function status(): Promise<{ version: string; running: boolean; processId: number }> {
    const { out } = await machine.run(['secondsite-agent', 'status', '--json']);
    return JSON.parse(out) as { version: string; running: boolean; processId: number };
  }

  async function change(atBytes: number): Promise<void> {
    const file = openSync(disk, 'r+');
    writeSync(file, randomBytes(MiB), 0, MiB, atBytes);
    closeSync(file);
  }

  it('waits after an installation by hand until the machine is enrolled', async () => {
    const path = await shelf.agent('0.1.0');
    const { code, out } = await install(path);
    expect({ code, out }).toMatchObject({
      code: 0,
      out: expect.stringContaining('secondsite-agent enrol') as string,
    });
    expect((await machine.run(['secondsite-agent', 'service', 'status'])).code).toBe(3);
    expect(await machine.must(['secondsite-agent', '--version'])).toBe('0.1.0\n');
  });

  it('replicates once it was enrolled, with a disk named in its settings', async () => {
    machine.write('/etc/secondsite/agent.json', JSON.stringify({ disks: { 'disk-2000': disk } }));
    const place = ['--server', `127.0.0.1:${server.port}`, '--passphrase-file', '-'];
    await machine.must(['secondsite-agent', 'enrol', ...place], server.settings.passphrase);
    await machine.must(['secondsite-agent', 'service', 'start']);
    await assign(server, item);
    await server.untilPoint(item.protectedItemId, 1);
    expect(server.uploadedBytes(item.protectedItemId, 1)).toBeGreaterThan(diskBytes * 0.9);
  });

  it('looks for the disks that are wanted, and says which it does not find', async () => {
    const { biosUuid } = item;
    const prepare = (diskId: string, sizeBytes: number) =>
      server.ask({ name: 'prepare', biosUuid, disks: [{ diskId, sizeBytes }] });
    expect(await prepare('disk-2000', diskBytes)).toMatchObject({ biosUuid });
    await expect(prepare('disk-2001', 12_345 * 512)).rejects.toThrow('does not find the disk disk-2001');
  });

  it('upgrades with replication going on, and sends only what changed', async () => {
    const before = await status();
    const { code, out, err } = await install(await shelf.agent('0.2.0'));
    expect({ code, err, out }).toMatchObject({
      code: 0,
      out: expect.stringContaining('0.2.0 took over from 0.1.0') as string,
    });
    const after = await status();
    expect(after).toMatchObject({ version: '0.2.0', running: true });
    expect(after.processId).not.toBe(before.processId);
    await change(4 * MiB);
    const point = await server.createPoint(item.protectedItemId);
    expect(server.uploadedBytes(item.protectedItemId, point)).toBeLessThan(2 * MiB);
    expect(await server.look()).toMatchObject({ agents: [{ version: '0.2.0' }] });
  });

  it('goes back to the version before when the new one does not come up', async () => {
    const { code, err } = await install(await shelf.brokenAgent('0.3.0'));
    expect({ code, err }).toMatchObject({
      code: 7,
      err: expect.stringContaining('Version 0.2.0 runs again') as string,
    });
    expect(await status()).toMatchObject({ version: '0.2.0', running: true });
    await change(8 * MiB);
    const point = await server.createPoint(item.protectedItemId);
    expect(server.uploadedBytes(item.protectedItemId, point)).toBeLessThan(2 * MiB);
    expect(await machine.must(['ls', '/opt/secondsite/agent/versions'])).not.toContain('0.3.0');
  });

  it('has a systemd unit that systemd finds nothing wrong with, and whose stop leaves the watchdog of a freeze alone', async () => {
    const unit = describeUnit(agentProduct);
    machine.write('/etc/systemd/system/secondsite-agent.service', unit);
    const words = ['systemd-analyze', 'verify', '--man=no', '/etc/systemd/system/secondsite-agent.service'];
    expect(await machine.run(words)).toMatchObject({ code: 0, err: '' });
    await machine.must(['rm', '/etc/systemd/system/secondsite-agent.service']);
    expect(unit).toContain('\nKillMode=process\n');
  });

  it('is started again when it is killed', async () => {
    const { processId } = await status();
    await machine.must(['kill', '-9', String(processId)]);
    await change(12 * MiB);
    const point = await server.createPoint(item.protectedItemId);
    expect(server.uploadedBytes(item.protectedItemId, point)).toBeLessThan(2 * MiB);
  });

  it('refuses a file that is not what its checksum says', async () => {
    const { code, err } = await install(shelf.damaged(await shelf.agent('0.2.0')));
    expect({ code, err }).toMatchObject({ code: 3, err: expect.stringContaining('is damaged') as string });
    expect(await status()).toMatchObject({ version: '0.2.0', running: true });
  });

  it('leaves nothing of a first installation whose enrolment was refused', async () => {
    const other = await TargetMachine.start(randomUUID());
    try {
      const path = await shelf.agent('0.2.0');
      const words = ['sh', path, '--server', `127.0.0.1:${server.port}`, '--passphrase-file', '-'];
      const { code, err } = await other.run(words, 'not the passphrase\n');
      expect({ code, err }).toMatchObject({ code: 8, err: expect.stringContaining('passphrase') as string });
      expect(await other.must(['find', '/opt', '/usr/local/bin', '-type', 'f'])).toBe('');
    } finally {
      await other.close();
    }
  });

  it('goes without a trace when it is uninstalled', async () => {
    await machine.must(['secondsite-agent', 'uninstall']);
    const left = [
      '/opt',
      '/usr/local/bin',
      '/run',
      '/var/log',
      '/var/lib/secondsite-agent',
      '/etc/secondsite',
    ];
    const { out } = await machine.run(['find', ...left, '-name', '*agent*']);
    expect(out).toBe('');
    expect(await machine.must(['find', '/etc/init.d', '/etc/rc3.d', '-name', '*secondsite*'])).toBe('');
    expect(await machine.must(['ps', '-eo', 'args'])).not.toContain('/opt/secondsite');
  });
});
