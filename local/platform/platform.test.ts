import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { createRemoteJWKSet, customFetch, decodeJwt, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { type LocalConfig, readConfig } from './config.ts';
import { writeFixtureApp } from './fixture-app.ts';

let folder: string;
let dataFolder: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'secondsite-platform-'));
  dataFolder = join(folder, 'data');
  writeFixtureApp(join(folder, 'app'));
});
afterEach(async () => {
  for (const child of started.splice(0)) await end(child, 'SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

function run(...args: string[]): ChildProcess {
  const main = resolve(import.meta.dirname, '..', 'main.ts');
  const app = ['--app-folder', join(folder, 'app'), '--data-folder', dataFolder];
  const child = spawn(process.execPath, [main, ...app, '--any-ports', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.push(child);
  return child;
}

/** Starts the platform as `npm start` does, and waits until it says that it runs. */
async function start(): Promise<{ child: ChildProcess; config: LocalConfig }> {
  const child = run();
  const complaints = text(child.stderr!);
  for await (const line of createInterface({ input: child.stdout! })) {
    expect(JSON.parse(line)).toMatchObject({ ready: true, dataFolder, pid: child.pid });
    return { child, config: readConfig(dataFolder)! };
  }
  throw new Error(await complaints);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown[]> {
  if (child.exitCode !== null || child.signalCode !== null) return [child.exitCode, child.signalCode];
  const exited = once(child, 'exit');
  child.kill(signal);
  return await exited;
}

type Answer = { status: number | undefined; body: string };

function call(config: LocalConfig, method: string, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const ca = readFileSync(config.caCertificatePath, 'utf8');
    const sent = request(`${config.armEndpoint}${path}`, { method, ca }, (response) => {
      text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Answers of the app while parts of it may be restarting. */
const poll = (read: () => Promise<Answer>): ReturnType<typeof expect.poll<Answer>> =>
  expect.poll(read, { timeout: 30_000, interval: 100 });

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the platform', () => {
  test('runs a function app with storage, service bus, tokens and a target', async () => {
    const { child, config } = await start();
    expect(statSync(join(dataFolder, 'local.json')).mode & 0o777).toBe(0o600);
    expect(statSync(dataFolder).mode & 0o777).toBe(0o700);
    await call(config, 'POST', '/send/hello');
    await poll(() => call(config, 'GET', '/received')).toMatchObject({ body: '["hello"]' });
    expect(await call(config, 'GET', `/target/${config.subscriptionId}`)).toMatchObject({
      body: '["contosovmreplica","contosopremium","contosofarwest"]',
    });
    const issuer = await call(config, 'GET', '/setting/TOKEN_ISSUER');
    expect(JSON.parse(issuer.body)).toMatchObject({ value: config.tokenIssuer });
    expect(await end(child, 'SIGTERM')).toEqual([0, null]);
    expect(Object.values(config.pids).filter(isAlive)).toEqual([]);
  });

  test('keeps its state, ports and keys through a kill -9 of its supervisor', async () => {
    const first = await start();
    await call(first.config, 'POST', '/send/before');
    await poll(() => call(first.config, 'GET', '/received')).toMatchObject({ body: '["before"]' });
    await end(first.child, 'SIGKILL');
    const second = await start();
    const { pids, ...kept } = second.config;
    expect(pids).not.toEqual(first.config.pids);
    expect(first.config).toMatchObject(kept);
    expect(await call(second.config, 'GET', '/received')).toMatchObject({ body: '["before"]' });
    expect(Object.values(first.config.pids).filter(isAlive)).toEqual([]);
  });

  test('starts a child again that was killed, on the same port', async () => {
    const { config } = await start();
    for (const name of ['storage', 'service-bus', 'functions-host']) {
      process.kill(config.pids[name]!, 'SIGKILL');
      await expect.poll(() => readConfig(dataFolder)!.pids[name]).not.toBe(config.pids[name]);
      await poll(() => call(config, 'POST', `/send/after-${name}`)).toMatchObject({ status: 202 });
    }
    await poll(() => call(config, 'GET', '/received')).toMatchObject({
      body: expect.stringContaining('after-functions-host') as string,
    });
    expect(readFileSync(join(dataFolder, 'logs', 'platform.log'), 'utf8')).toContain(
      'storage ended (SIGKILL)',
    );
  });

  test('runs once a data folder, and says which process has it', async () => {
    const { child } = await start();
    const second = run();
    const complaint = await text(second.stderr!);
    expect(complaint).toContain(`A platform runs on ${dataFolder} already (process ${child.pid})`);
    expect(await end(second, 'SIGTERM')).toEqual([1, null]);
  });

  test('says how to build an app that is not built', async () => {
    rmSync(join(folder, 'app', 'index.js'));
    const child = run();
    expect(await text(child.stderr!)).toContain('index.js is missing. Run: npm run build');
    expect(await end(child, 'SIGTERM')).toEqual([1, null]);
  });
});

function secondsite(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const main = resolve(import.meta.dirname, '..', '..', 'cli', 'main.ts');
  return spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });
}

describe('secondsite local', () => {
  test('prints tokens that verify at the running platform, and its state', async () => {
    const { child, config } = await start();
    const printed = secondsite('local', 'token', '--role', 'operator', '--data-folder', dataFolder);
    expect(printed).toMatchObject({ status: 0, stderr: '' });
    const keys = createRemoteJWKSet(new URL(config.tokenJwksUri), {
      [customFetch]: async (url) => {
        const { body } = await call({ ...config, armEndpoint: url }, 'GET', '');
        return new Response(body, { headers: { 'content-type': 'application/json' } });
      },
    });
    const { payload } = await jwtVerify(printed.stdout.trim(), keys, { issuer: config.tokenIssuer });
    expect(payload).toMatchObject({ roles: ['Site Recovery Operator'], tid: config.tenantId });
    const asJson = secondsite('local', 'token', '--role', 'reader', '--json', '--data-folder', dataFolder);
    const { accessToken } = JSON.parse(asJson.stdout) as { accessToken: string };
    expect(decodeJwt(accessToken)['roles']).toEqual(['Site Recovery Reader']);

    const status = secondsite('local', 'status', '--json', '--data-folder', dataFolder);
    expect(JSON.parse(status.stdout)).toMatchObject({ running: true, answers: true, ports: config.ports });
    expect(status.stdout).not.toContain('AccountKey');
    await end(child, 'SIGTERM');
    const after = secondsite('local', 'status', '--data-folder', dataFolder);
    expect(after).toMatchObject({ status: 3 });
    expect(after.stdout).toContain('Start it: npm start');
  });

  test('says what is wrong', () => {
    const never = secondsite('local', 'token', '--role', 'reader', '--data-folder', dataFolder);
    expect(never).toMatchObject({ status: 2, stdout: '' });
    expect(never.stderr).toContain(`The local platform never ran on ${dataFolder}`);
    const role = secondsite('local', 'token', '--role', 'king');
    expect(role.status).not.toBe(0);
    expect(role.stderr).toContain('contributor, operator, reader');
  });
});
