import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  measureSpace,
  readDisks,
  readDriver,
  readIsVMware,
  readOperatingSystem,
  readRoutedAdapters,
  readServerRoles,
} from './measure-linux.ts';
import { measureMachine } from './measure-machine.ts';
import { measurePort } from './ports.ts';
import { askTimeServer, findTimeServer } from './time-server.ts';

let root: string;

beforeEach(async () => {
  root = `${await mkdtemp(join(tmpdir(), 'machine-'))}/`;
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

test('reads the system’s name and version', async () => {
  await put('etc/os-release', 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n');
  expect(readOperatingSystem(root)).toEqual({
    id: 'debian',
    version: '12',
    name: 'Debian GNU/Linux 12 (bookworm)',
  });
});

test('a system that doesn’t say its name is unknown', () => {
  expect(readOperatingSystem(root)).toEqual({ id: 'unknown', version: '', name: 'Linux' });
});

test('counts disks that have hardware, stay in and are not empty', async () => {
  await putDisk('sda', { size: '2048', device: true });
  await putDisk('sdb', { size: '0', device: true });
  await putDisk('sdc', { size: '2048', device: true, removable: '1' });
  await putDisk('loop0', { size: '2048', device: false });
  expect(readDisks(root)).toEqual([{ name: 'sda', sizeBytes: 1024 * 1024 }]);
});

test('finds the servers that run beside the appliance', async () => {
  await put('proc/1/comm', 'systemd\n');
  await put('proc/20/comm', 'nginx\n');
  await put('proc/21/comm', 'nginx\n');
  await put('proc/30/comm', 'qemu-system-x86\n');
  await put('proc/meminfo', '');
  expect(readServerRoles(root)).toEqual([
    { role: 'web', program: 'nginx' },
    { role: 'hypervisor', program: 'qemu-system-x86' },
  ]);
});

test('finds the card of the default route, and its driver', async () => {
  const rows = ['Iface\tDestination\tGateway', 'ens192\t00000000\t0100000A', 'ens224\t0000000A\t00000000'];
  await put('proc/net/route', `${rows.join('\n')}\n`);
  expect(readRoutedAdapters(root)).toEqual(['ens192']);
  await mkdir(join(root, 'drivers/vmxnet3'), { recursive: true });
  await mkdir(join(root, 'sys/class/net/ens192/device'), { recursive: true });
  await symlink(join(root, 'drivers/vmxnet3'), join(root, 'sys/class/net/ens192/device/driver'));
  expect(readDriver('ens192', root)).toBe('vmxnet3');
  expect(readDriver('lo', root)).toBe('');
});

test('knows a VMware machine', async () => {
  expect(readIsVMware(root)).toBe(false);
  await put('sys/class/dmi/id/sys_vendor', 'VMware, Inc.\n');
  expect(readIsVMware(root)).toBe(true);
});

test('measures the room for a folder that is not there yet', () => {
  const path = join(root, 'not/there/yet');
  expect(measureSpace(path)).toMatchObject({ path, freeBytes: expect.any(Number) });
});

test('measures this machine', async () => {
  const facts = await measureMachine(root);
  expect(facts.processors).toBeGreaterThan(0);
  expect(facts.cache.freeBytes).toBeGreaterThan(0);
});

test('finds the time server of chrony and of systemd', async () => {
  expect(findTimeServer(root)).toBeUndefined();
  await put('etc/systemd/timesyncd.conf', '[Time]\n#NTP=\nNTP=time.contoso.com other\n');
  expect(findTimeServer(root)).toBe('time.contoso.com');
  await put('etc/chrony/chrony.conf', '# servers\npool 2.debian.pool.ntp.org iburst\n');
  expect(findTimeServer(root)).toBe('2.debian.pool.ntp.org');
});

test('asks a time server how far its clock is ahead', async () => {
  const aheadMs = 20 * 60_000;
  const server = await startTimeServer(2, aheadMs);
  const { differenceMs } = await askTimeServer(`127.0.0.1:${server.address().port}`);
  server.close();
  expect(Math.abs((differenceMs ?? 0) - aheadMs)).toBeLessThan(1_000);
});

test('says that a time server has no time of its own', async () => {
  const server = await startTimeServer(0, 0);
  const source = `127.0.0.1:${server.address().port}`;
  expect(await askTimeServer(source)).toEqual({ source, reason: 'it has no time to give' });
  server.close();
});

test('names a time server that can’t be found', async () => {
  const { reason } = await askTimeServer('no-such-host.invalid');
  expect(reason).toContain('no-such-host.invalid');
});

test('tells a free port from one that is taken, and from our own', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await measurePort(port, '127.0.0.1', () => false)).toMatchObject({ state: 'taken', reachedAt: [] });
  expect(await measurePort(port, '127.0.0.1', () => true)).toEqual({
    port,
    state: 'ours',
    reachedAt: ['127.0.0.1'],
  });
  server.close();
  await once(server, 'close');
  expect(await measurePort(port, '127.0.0.1', () => false)).toEqual({
    port,
    state: 'free',
    reachedAt: ['127.0.0.1'],
  });
});

test('names an address that the machine does not have', async () => {
  expect(await measurePort(9443, '192.0.2.1', () => false)).toMatchObject({
    state: 'taken',
    reason: 'the machine has no such address',
  });
});

/** Answers by SNTP; stratum 0 says that it has no time itself. */
async function startTimeServer(stratum: number, aheadMs: number) {
  const server = createSocket('udp4');
  server.on('message', (_, { port, address }) => {
    const answer = Buffer.alloc(48);
    answer[0] = 0x24;
    answer[1] = stratum;
    const seconds = (Date.now() + aheadMs) / 1_000 + 2_208_988_800;
    answer.writeUInt32BE(Math.floor(seconds), 40);
    answer.writeUInt32BE(Math.floor((seconds % 1) * 2 ** 32), 44);
    server.send(answer, port, address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function putDisk(
  name: string,
  disk: { size: string; device: boolean; removable?: string },
): Promise<void> {
  await put(`sys/block/${name}/size`, `${disk.size}\n`);
  await put(`sys/block/${name}/removable`, `${disk.removable ?? '0'}\n`);
  if (disk.device) await mkdir(join(root, `sys/block/${name}/device`));
}

async function put(path: string, content: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}
