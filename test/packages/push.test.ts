import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAccount } from '../../appliance/configuration-server/account.ts';
import { openStore, type Store } from '../../appliance/configuration-server/store.ts';
import { forgetHostKey, listHostKeys } from '../../appliance/push/host-key.ts';
import { pushAgent, type Push } from '../../appliance/push/push-agent.ts';
import { startStorage, type Storage } from '../../local/storage/storage.ts';
import { signFiles } from '../../packaging/signature.ts';
import { MiB } from '../../shared/bytes.ts';
import { DomainError, type Fault } from '../../shared/fault.ts';
import {
  assign,
  createItem,
  serverSettings,
  ServerProcess,
  type Item,
} from '../fixtures/process-server/site.ts';
import { PackageShelf } from '../fixtures/target-machine/packages.ts';
import { SshServer } from '../fixtures/target-machine/ssh-server.ts';
import { TargetMachine, whyNoTargetMachine } from '../fixtures/target-machine/target-machine.ts';

const reason = whyNoTargetMachine();
const where = reason === undefined ? '' : ` (not here: ${reason})`;
const diskBytes = 16 * MiB;
/** Long and odd enough to be found wherever it should not be, and to break a shell that it reached. */
const password = `p'"$(w) ${randomUUID()}`;

describe.skipIf(reason)(`an agent pushed over SSH${where}`, { timeout: 300_000 }, () => {
  const release = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  let folder: string;
  let shelf: PackageShelf;
  let storage: Storage;
  let server: ServerProcess;
  let store: Store;
  let machine: TargetMachine;
  let ssh: SshServer;
  let item: Item;
  let rootKey: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'secondsite-test-'));
    shelf = new PackageShelf(folder);
    storage = await startStorage({ dataFolder: join(folder, 'storage'), inMemory: true });
    server = await ServerProcess.start(serverSettings(folder, storage.connectionString));
    store = openStore(join(folder, 'appliance'));
    item = await createItem(storage.connectionString, [{ diskId: 'disk-2000', sizeBytes: diskBytes }]);
    machine = await TargetMachine.start(item.biosUuid);
    const disk = join(folder, 'disk.raw');
    writeFileSync(disk, randomBytes(diskBytes));
    machine.write('/etc/secondsite/agent.json', JSON.stringify({ disks: { 'disk-2000': disk } }));
    ssh = await SshServer.start(machine);
    await ssh.addUser('root', password);
    await ssh.addUser('sudoer', password);
    await ssh.addUser('free', password);
    await ssh.addUser('nobodys', password);
    machine.write('/etc/sudoers.d/test', 'sudoer ALL=(ALL) ALL\nfree ALL=(ALL) NOPASSWD: ALL\n', 0o440);
    rootKey = ssh.addKey('root', folder);
    await offer('0.1.0');
  }, 300_000);

  afterAll(async () => {
    await machine.close();
    await server.close();
    await storage.close();
    store.db.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Makes a version the one that the appliance pushes. */
  async function offer(version: string, broken = false): Promise<void> {
    const built = broken ? await shelf.brokenAgent(version) : await shelf.agent(version);
    const packages = join(store.dataFolder, 'packages');
    mkdirSync(packages, { recursive: true });
    const path = join(packages, basename(built));
    cpSync(built, path);
    signFiles(packages, [path], release);
  }

  function account(
    userName: string,
    login: { password?: string; privateKey?: string },
    sshPort = ssh.port,
  ): string {
    return addAccount(store, `${userName}-${randomUUID()}`, { userName, ...login, sshPort }).accountId;
  }

  const steps: string[] = [];

  /** An upgrade: the enrolment stays. */
  function update(accountId: string, more: Partial<Push> = {}, signal = new AbortController().signal) {
    steps.length = 0;
    return pushAgent(
      store,
      {
        machineName: 'web01',
        biosUuid: item.biosUuid,
        target: { addresses: ['127.0.0.1'], osType: 'LINUX', accountId },
        onProgress: (step, percent) => steps.push(`${percent} ${step}`),
        ...more,
      },
      signal,
    );
  }

  function push(accountId: string, more: Partial<Push> = {}, signal?: AbortSignal) {
    const { passphrase } = server.settings;
    return update(
      accountId,
      { enrolAt: { host: undefined, port: server.port, passphrase }, ...more },
      signal,
    );
  }

  async function nothingLeft(): Promise<void> {
    expect(await machine.must(['find', '/var/tmp', '-mindepth', '1'])).toBe('');
  }

  it.each([
    ['a wrong password', () => account('root', { password: 'wrong' }), '95108'],
    ['a key that it does not know', () => account('sudoer', { privateKey: rootKey }), '95108'],
    ['an account that may not use sudo', () => account('nobodys', { password }), '95517'],
    [
      'a key of an account whose sudo wants a password',
      () => account('sudoer', { privateKey: ssh.addKey('sudoer', folder) }),
      '95517',
    ],
    ['a port where nothing listens', () => account('root', { password }, 1), '95117'],
  ])('says so under Site Recovery’s code for %s, and leaves nothing behind', async (_, accountId, code) => {
    expect(await faultOf(push(accountId()))).toMatchObject({ code: 'RemoteFailure', armCode: code });
    await nothingLeft();
    expect(await machine.must(['ls', '/opt'])).toBe('');
  });

  it('refuses a Windows machine by name', async () => {
    const target = {
      addresses: ['127.0.0.1'],
      osType: 'WINDOWS' as const,
      accountId: account('root', { password }),
    };
    expect(await faultOf(push(target.accountId, { target }))).toMatchObject({
      armCode: '95107',
      recommendedAction: expect.stringContaining('LocalAccountTokenFilterPolicy') as string,
    });
  });

  it('refuses a machine that has taken over the address of the one meant', async () => {
    const other = { biosUuid: randomUUID() };
    expect(await faultOf(push(account('root', { password }), other))).toMatchObject({
      armCode: 'OtherMachine',
    });
  });

  it('refuses a machine without room, and copies nothing to it', async () => {
    await machine.must(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', '/opt']);
    try {
      expect(await faultOf(push(account('root', { password })))).toMatchObject({
        armCode: 'InsufficientDiskSpace',
      });
      expect(steps.join()).not.toContain('Copying');
    } finally {
      await machine.must(['umount', '/opt']);
    }
    await nothingLeft();
  });

  it('refuses a machine whose C library is too old', async () => {
    machine.write('/usr/local/bin/getconf', '#!/bin/sh\necho glibc 2.17\n', 0o755);
    try {
      const fault = await faultOf(push(account('root', { password })));
      expect(fault).toMatchObject({
        armCode: 'UnsupportedOperatingSystem',
        message: expect.stringContaining('2.17') as string,
      });
    } finally {
      await machine.must(['rm', '/usr/local/bin/getconf']);
    }
  });

  it('leaves nothing behind when the enrolment is refused', async () => {
    const enrolAt = { host: undefined, port: server.port, passphrase: 'another one' };
    const fault = await faultOf(push(account('root', { password }), { enrolAt }));
    expect(fault).toMatchObject({ armCode: 'MobilityServiceRegistrationFailed' });
    await nothingLeft();
    expect(await machine.must(['find', '/opt', '-type', 'f'])).toBe('');
  });

  it('leaves nothing behind when it is cancelled while it copies', async () => {
    const stop = new AbortController();
    const onProgress = (step: string): void => {
      if (/: [4-6]\d %/u.test(step)) stop.abort(new Error('cancelled'));
    };
    await expect(push(account('root', { password }), { onProgress }, stop.signal)).rejects.toThrow(
      'cancelled',
    );
    await nothingLeft();
  });

  it('installs with sudo and the account’s password, showing how far it is', async () => {
    expect(await push(account('sudoer', { password }))).toEqual({ version: '0.1.0' });
    expect(steps.map((step) => Number.parseInt(step, 10))).toEqual(
      steps.map((step) => Number.parseInt(step, 10)).toSorted((one, other) => one - other),
    );
    expect(steps.join('\n')).toMatch(/Connecting[^]*Checking[^]*Copying[^]*Installing/u);
    await nothingLeft();
    await assign(server, item);
    await server.untilPoint(item.protectedItemId, 1);
  });

  it('is pushed again without harm, with sudo that asks for nothing', async () => {
    expect(await push(account('free', { password }))).toEqual({ version: '0.1.0', before: '0.1.0' });
    const point = await server.createPoint(item.protectedItemId);
    expect(server.uploadedBytes(item.protectedItemId, point)).toBeLessThan(MiB);
  });

  it('shows a secret to nobody: not in arguments, not in files', async () => {
    const watcher = machine.spawn([
      'sh',
      '-c',
      'while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" " "; done',
    ]);
    let seen = '';
    watcher.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    await push(account('sudoer', { password }));
    watcher.kill('SIGKILL');
    expect(seen).toContain('secondsite-push.'); // it did see the push
    expect(seen).not.toContain(password.slice(-36));
    expect(seen).not.toContain(server.settings.passphrase);
    const { code } = await machine.run([
      'grep',
      '-rlF',
      '-e',
      server.settings.passphrase,
      '-e',
      password.slice(-36),
      '/opt',
      '/etc/secondsite',
      '/var/lib',
      '/var/log',
      '/run',
    ]);
    expect(code).toBe(1); // nothing found
  });

  it('upgrades by key as root with replication going on, without enrolling anew', async () => {
    await offer('0.2.0');
    const identity = machine.read('/var/lib/secondsite-agent/agent.json');
    const accountId = account('root', { privateKey: rootKey });
    expect(await update(accountId)).toEqual({ version: '0.2.0', before: '0.1.0' });
    expect(machine.read('/var/lib/secondsite-agent/agent.json')).toBe(identity);
    const point = await server.createPoint(item.protectedItemId);
    expect(server.uploadedBytes(item.protectedItemId, point)).toBeLessThan(MiB);
    expect(await update(accountId)).toEqual({ version: '0.2.0', before: '0.2.0' });
    expect(steps.join()).not.toContain('Copying');
  });

  it('goes back to the version before when the new one does not come up', async () => {
    await offer('0.3.0', true);
    const fault = await faultOf(update(account('root', { privateKey: rootKey })));
    expect(fault).toMatchObject({ armCode: 'MobilityServiceRolledBack' });
    expect(await machine.must(['secondsite-agent', '--version'])).toBe('0.2.0\n');
    await nothingLeft();
  });

  it('refuses a machine that shows another host key, until the old one is forgotten', async () => {
    await offer('0.2.0');
    await ssh.stop();
    await ssh.makeHostKey();
    await ssh.run();
    const accountId = account('root', { password });
    const before = listHostKeys(store);
    expect(await faultOf(push(accountId))).toMatchObject({ armCode: 'HostKeyChanged' });
    expect(listHostKeys(store)).toEqual(before);
    expect(forgetHostKey(store, '127.0.0.1')).toBe(true);
    expect(await push(accountId)).toMatchObject({ version: '0.2.0' });
  });

  it('pushes no package that was altered, or is signed by another release key', async () => {
    const packages = join(store.dataFolder, 'packages');
    const sums = readFileSync(join(packages, 'SHA256SUMS'), 'utf8');
    const path = join(packages, /secondsite-agent-\S+/u.exec(sums)?.[0] ?? '');
    expect(existsSync(path)).toBe(true);
    const accountId = account('root', { password });
    chmodSync(path, 0o755);
    writeFileSync(path, 'x', { flag: 'a' });
    expect(await faultOf(push(accountId))).toMatchObject({ armCode: 'UntrustedPackage' });
    signFiles(packages, [path], generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
    const fault = await faultOf(push(accountId));
    expect(fault).toMatchObject({ armCode: 'UntrustedPackage' });
    expect(fault.message).toMatch(/signed by the key [0-9a-f]{64}/u);
  });
});

async function faultOf(pushed: Promise<unknown>): Promise<Fault> {
  try {
    await pushed;
  } catch (error) {
    if (error instanceof DomainError) return error.fault;
    throw error;
  }
  throw new Error('It was pushed.');
}
