import { execFile } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Role } from '../../local/identity/token.ts';
import { type TestPlatform, startTestPlatform } from './platform.ts';

const main = resolve(import.meta.dirname, '../../cli/main.ts');

describe('the command line at a vault', () => {
  let platform: TestPlatform;
  let folder: string;

  beforeAll(async () => {
    platform = await startTestPlatform();
    folder = platform.platform.config.dataFolder;
    for (const role of ['contributor', 'reader'] as const) {
      const token = await platform.credential(role).getToken([]);
      writeFileSync(join(folder, role), token?.token ?? '', { mode: 0o600 });
    }
  });

  afterAll(() => platform.close());

  function run(role: Role, ...args: string[]) {
    const { armEndpoint, caCertificatePath } = platform.platform.config;
    const env = {
      ...process.env,
      SECONDSITE_ENDPOINT: armEndpoint,
      SECONDSITE_SUBSCRIPTION: platform.subscriptionId,
      SECONDSITE_RESOURCE_GROUP: platform.resourceGroup,
      SECONDSITE_VAULT: 'ContosoVMVault',
      SECONDSITE_TOKEN_FILE: join(folder, role),
      NODE_EXTRA_CA_CERTS: caCertificatePath,
    };
    return new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
      execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
        done({ code: Number(error?.code ?? 0), stdout, stderr }),
      );
    });
  }

  it('makes a vault, again and again, and a registration key that only its owner can read', async () => {
    for (let time = 1; time <= 2; time += 1) {
      const made = await run('contributor', 'vault', 'create', '--location', 'eastus');
      expect(made).toMatchObject({ code: 0, stdout: 'The vault ContosoVMVault is in eastus.\n' });
    }
    const out = join(folder, 'key.json');
    const key = await run('contributor', 'vault', 'key', '--out', out);
    expect(key.code).toBe(0);
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({ key: expect.any(String) as string });
    expect(statSync(out).mode & 0o777).toBe(0o600);
    expect(key.stdout).not.toContain('eyJ');
  });

  it('says what the API refuses, without a stack', async () => {
    const refused = await run('reader', 'vault', 'key', '--out', join(folder, 'other.json'));
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('AuthorizationFailed');
    const created = await run('reader', 'vault', 'create', '--location', 'eastus');
    expect(created).toMatchObject({ code: 1, stdout: '' });
    expect(created.stderr).toContain('may not perform the action');
    expect(created.stderr).not.toMatch(/^ +at /mu);
  });

  it('says that there is no configuration server, and what to do', async () => {
    const { code, stderr } = await run('reader', 'machine', 'list');
    expect(code).toBe(1);
    expect(stderr).toContain(
      "no configuration server.\nSet one up with a registration key: 'secondsite vault key'",
    );
  });

  it('ends with 1 when a target can not take machines, and says why', async () => {
    const target = ['--storage-account', 'contosofarwest', '--network', 'ContosoVNet', '--subnet', 'default'];
    const { code, stdout } = await run('reader', 'target', 'check', ...target);
    expect(code).toBe(1);
    expect(stdout).toMatch(/StorageRegion +Failed/u);
  });
});
