import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startVCenter } from '../../../local/vcenter/server.ts';
import { PrerequisiteReport } from '../../../shared/wire/prerequisite.ts';
import { VaultServer } from './vault-server.ts';

const main = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

let folder: string;
let vault: VaultServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-'));
  vault = await VaultServer.start();
  await writeFile(join(folder, 'key.json'), JSON.stringify(await vault.createKey()));
});

afterEach(async () => {
  await vault.close();
  await rm(folder, { recursive: true, force: true });
});

test('sets an appliance up, and says how to start it and where its passphrase is', async () => {
  const { stdout, code } = await setUp();
  expect(code).toBe(0);
  expect(stdout).toContain(`registered at the vault ContosoVMVault`);
  expect(stdout).toContain(`secondsite appliance run --data-folder ${dataFolder()}`);
  expect(stdout).toContain('secondsite appliance passphrase show');
});

test('prints one JSON object where it is asked to', async () => {
  const { stdout } = await setUp('--json');
  expect(JSON.parse(stdout)).toMatchObject({ applianceId: vault.appliance.result.applianceId, port: 0 });
});

test('checks the machine without changing anything', async () => {
  const { stdout, code } = await run(['setup', '--check', '--key', join(folder, 'key.json'), '--port', '0']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ {2}pass {2}Vault reached +it answers directly$/mu);
  expect(await readdir(folder)).toEqual(['key.json']);
});

test('a check that fails ends with status 1 and says what was found, wanted and is to be done', async () => {
  const { stdout, code } = await run(['setup', '--check', '--port', String(vault.port), '--json']);
  expect(code).toBe(1);
  const { outcome, checks } = PrerequisiteReport.parse(JSON.parse(stdout));
  expect(outcome).toBe('Failed');
  expect(checks.find(({ name }) => name === 'dataPort')).toEqual({
    name: 'dataPort',
    outcome: 'Failed',
    found: 'another program listens there',
    wanted: `port ${vault.port} free, and reached at the machine’s own addresses`,
    action: `Stop what listens on port ${vault.port}, or choose another port with --port.`,
  });
});

test('sets up from answers in a file, without a question', async () => {
  const answers = join(folder, 'answers.yaml');
  const lines = [
    'acceptLicences: true',
    'registrationKey: key.json',
    'acceptUndersized: true',
    'network: { port: 0 }',
  ];
  await writeFile(answers, [...lines, 'passphrase: { env: AGENT_PASSPHRASE }', ''].join('\n'));
  expect((await run(['setup', '--answers', answers])).stderr).toContain('AGENT_PASSPHRASE is not set');
  process.env['AGENT_PASSPHRASE'] = 'a-passphrase-from-outside';
  const { code, stderr, stdout } = await run(['setup', '--answers', answers]);
  delete process.env['AGENT_PASSPHRASE'];
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).not.toContain('a-passphrase-from-outside');
  expect((await run(['passphrase', 'show'])).stdout).toBe('a-passphrase-from-outside\n');
});

test.each([
  [['acceptLicences: false'], 'licences of the packages were not accepted'],
  [['acceptLicences: true', 'role: processServer'], 'can’t be set up yet'],
  [['acceptLicences: true', 'vmware: false'], 'Only machines of VMware'],
  [['acceptLicences: true', 'colour: blue'], 'colour'],
  [['acceptLicences: ['], "can't be used"],
])('refuses the answers %j and registers nothing', async (lines, message) => {
  const answers = join(folder, 'answers.yaml');
  await writeFile(answers, ['registrationKey: key.json', 'network: { port: 0 }', ...lines].join('\n'));
  const { code, stderr } = await run(['setup', '--answers', answers]);
  expect(code).toBe(1);
  expect(stderr).toContain(message);
  expect(() => vault.appliance).toThrow('No appliance is registered');
});

test('adds, changes, lists and removes accounts of a stopped appliance', async () => {
  await setUp();
  const added = await run(['accounts', 'add', '--name', 'vc', '--user', 'me'], 'secret-password\n');
  expect(added.stdout).toBe("Added the account 'vc' with id 1.\n");
  expect((await run(['accounts', 'update', 'vc', '--user', 'you'], 'another\n')).code).toBe(0);
  expect((await run(['accounts', 'list'])).stdout).toBe(
    'ID  NAME  USER  WITH      SSH PORT\n1   vc    you   password  22\n',
  );
  expect((await run(['accounts', 'add', '--name', 'VC', '--user', 'me'], 'x')).stderr).toContain('already');
  expect((await run(['accounts', 'remove', 'vc'])).stdout).toBe("Removed the account 'vc'.\n");
});

test('shows the passphrase, and sets another that is long enough', async () => {
  await setUp();
  expect((await run(['passphrase', 'show'])).stdout).toMatch(/^(\w{4}-){5}\w{4}\n$/u);
  const short = await run(['passphrase', 'set'], 'short');
  expect(short).toMatchObject({ code: 1, stderr: expect.stringContaining('16 to 128') });
  expect((await run(['passphrase', 'set'], 'a-passphrase-of-my-own\n')).code).toBe(0);
  expect((await run(['passphrase', 'show'])).stdout).toBe('a-passphrase-of-my-own\n');
});

test('tells the status of a stopped appliance', async () => {
  await setUp();
  const { stdout } = await run(['status']);
  expect(stdout).toContain(`${vault.appliance.result.applianceId} (stopped)`);
});

test.each([
  [['status'], 'no appliance set up'],
  [['run'], 'no appliance set up'],
  [['setup', '--key', 'none.json'], "registration key can't be read"],
  [['setup', '--key', 'none.json', '--port', 'x'], "not 'x'"],
])('says what to do when `%s` can’t be done', async (args, message) => {
  const { code, stderr } = await run(args);
  expect(code).toBe(1);
  expect(stderr).toContain(message);
  expect(stderr).not.toContain('    at ');
});

test('gives an account the role on a vCenter, and says what it may do there', async () => {
  await setUp();
  await run(['accounts', 'add', '--name', 'vc', '--user', 'reader@vsphere.local'], 'reader-password');
  const account = { user: 'reader@vsphere.local', password: 'reader-password' };
  const administrator = { user: 'root@vsphere.local', password: 'root-password' };
  const inventoryFile = join(folder, 'inventory.json');
  await writeFile(inventoryFile, JSON.stringify({ name: 'vc1', account, administrator, machines: [] }));
  const vCenter = await startVCenter({ inventoryFile });
  const where = [`127.0.0.1:${vCenter.port}`, '--account', 'vc'];

  const before = await run(['vcenter', 'check', ...where]);
  expect(before).toMatchObject({ code: 0, stdout: expect.stringContaining('Discovery: nothing is missing') });
  expect(before.stdout).toContain('Network.Assign on Datacenter (datacenter-1)');

  const granting = ['vcenter', 'grant', ...where, '--administrator', administrator.user];
  const granted = await run(granting, 'root-password');
  expect(granted.stdout).toContain('The role Azure_Site_Recovery is made');
  expect(granted.stdout).toContain(vCenter.fingerprint);
  expect((await run(granting, 'root-password')).stdout).toContain('already');
  expect((await run(granting, 'wrong')).stderr).toContain('wrong user name or password');

  const after = await run(['vcenter', 'check', ...where]);
  expect(after.stdout).toContain('Failover and failback: nothing is missing');
  await vCenter.close();
});

test('says that a refresh needs a running appliance', async () => {
  await setUp();
  const { code, stderr } = await run(['refresh']);
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('secondsite appliance run'),
  });
});

test('takes no password from the arguments', async () => {
  await setUp();
  const { code, stderr } = await run(['accounts', 'add', '--name', 'vc', '--user', 'me', '--password', 'x']);
  expect(code).not.toBe(0);
  expect(stderr).toContain("unknown option '--password'");
});

test('shows help for every command', async () => {
  const { stdout } = await execute(['appliance', '--help'], '');
  for (const name of ['setup', 'run', 'status', 'accounts', 'passphrase', 'vcenter', 'refresh']) {
    expect(stdout).toContain(name);
  }
});

function dataFolder(): string {
  return join(folder, 'data');
}

async function setUp(...more: string[]) {
  return run(['setup', '--key', join(folder, 'key.json'), '--port', '0', ...more]);
}

async function run(args: string[], input = '') {
  return execute(['appliance', ...args, '--data-folder', dataFolder()], input);
}

async function execute(args: string[], input: string) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(process.execPath, [main, ...args], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
    child.stdin?.end(input);
  });
}
