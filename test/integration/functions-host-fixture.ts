import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startStorage, type Storage } from '../../local/storage/storage.ts';

/** A host that runs a fixture app in a process of its own. */
export type HostProcess = {
  url: string;
  child: ChildProcess;
  /** What the host has logged so far. */
  log(): string;
  /** Kills it as a power cut would. */
  kill(): Promise<void>;
  /** Ends it with SIGTERM; gives its exit code. */
  stop(): Promise<number | null>;
};

/** What a host process is started with. */
export type HostOptions = {
  appFolder: string;
  dataFolder: string;
  settings: Record<string, string>;
  port?: number;
  tls?: { key: string; cert: string };
};

const repository = join(import.meta.dirname, '..', '..');
const entry = join(repository, 'local', 'functions-host', 'main.ts');

/** The folder of a fixture app. */
export function fixtureApp(name: string): string {
  return join(repository, 'test', 'fixtures', 'function-apps', name);
}

/** Starts a host process; rejects with its log when it ends before it listens. */
export async function startHost(options: HostOptions): Promise<HostProcess> {
  const child = fork(entry, [JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
    env: { PATH: process.env['PATH'] ?? '', HOME: tmpdir() },
  });
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => resolve(code));
  });
  const ready = new Promise<string>((resolve) => {
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const line = output.split('\n').find((candidate) => candidate.includes('"ready":true'));
      if (line !== undefined) resolve((JSON.parse(line) as { url: string }).url);
    });
  });
  const url = await Promise.race([
    ready,
    ended.then((code): string => {
      throw new Error(`the host ended with ${code} before it listened:\n${log}`);
    }),
  ]);
  return {
    url,
    child,
    log: () => log,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** A folder that is removed with its content. */
export type TemporaryFolder = { path: string; remove(): void };

export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'functions-host-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Storage that lives in memory only. */
export function startMemoryStorage(folder: string): Promise<Storage> {
  return startStorage({ dataFolder: folder, inMemory: true });
}

/** Posts JSON; gives status and parsed answer. */
export async function post(
  url: string,
  body?: unknown,
): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(url, {
    method: 'POST',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, json: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
}

/** What a durable client says of an instance. */
export type InstanceStatus = {
  instanceId: string;
  runtimeStatus: string;
  input: unknown;
  output: unknown;
  customStatus: unknown;
};

/** Asks for an instance's state. */
export async function statusOf(url: string, instanceId: string): Promise<InstanceStatus> {
  const { json } = await post(`${url}/client/status/${encodeURIComponent(instanceId)}`, {});
  return (json['result'] ?? json) as InstanceStatus;
}

/** Asks again and again until the state is as wished; the test's own timeout ends it. */
export async function waitForStatus(
  url: string,
  instanceId: string,
  isWished: (status: InstanceStatus) => boolean,
): Promise<InstanceStatus> {
  for (;;) {
    const status = await statusOf(url, instanceId);
    if (isWished(status)) return status;
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}

/** Waits until an instance has ended. */
export function waitForEnd(url: string, instanceId: string): Promise<InstanceStatus> {
  return waitForStatus(url, instanceId, ({ runtimeStatus }) =>
    ['Completed', 'Failed', 'Terminated'].includes(runtimeStatus),
  );
}
