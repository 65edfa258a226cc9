import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { connectionStringOf, ensureAccount, type StoragePorts } from './account.ts';
import { type Clients, clientsOf, createRegisters, EMPTY, type Register } from './registers.ts';

let dataFolder: string;
beforeEach(() => {
  dataFolder = mkdtempSync(join(tmpdir(), 'secondsite-storage-'));
});
afterEach(() => rmSync(dataFolder, { recursive: true, force: true }));

async function startChild(): Promise<{ child: ChildProcess; clients: Clients }> {
  const main = new URL('main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, '--data-folder', dataFolder], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    const { ports } = JSON.parse(line) as { ports: StoragePorts };
    return { child, clients: clientsOf(connectionStringOf(ensureAccount(dataFolder), ports)) };
  }
  throw new Error('storage ended before it was ready');
}

/** What a register may hold: the acknowledged value, or the one that was being written. */
type Expected = { register: Register; acknowledged: string; writing: string };

/** Writes to all registers at once until `writes` writes were acknowledged, then kills storage amid the others. */
async function writeUntilKilled(
  child: ChildProcess,
  clients: Clients,
  all: Expected[],
  writes: number,
): Promise<void> {
  let left = writes;
  const exited = once(child, 'exit');
  const writers = all.map(async (expected) => {
    while (!child.killed) {
      expected.writing = expected.register.next(expected.acknowledged);
      try {
        await expected.register.write(clients, expected.writing, expected.acknowledged);
      } catch (error) {
        if (!child.killed) throw error;
        return;
      }
      expected.acknowledged = expected.writing;
      left -= 1;
      if (left === 0) child.kill('SIGKILL');
    }
  });
  await Promise.all(writers);
  await exited;
}

describe('storage killed with SIGKILL while clients write', () => {
  test('has every acknowledged write after each of several restarts', { timeout: 300_000 }, async () => {
    const all = createRegisters().map((register) => ({ register, acknowledged: EMPTY, writing: EMPTY }));
    const first = await startChild();
    await first.clients.container.create();
    await first.clients.table.createTable();
    for (const { register } of all) {
      if (register.name.startsWith('queue')) await first.clients.queue.send('PUT', register.name);
    }
    let { child, clients } = first;
    const rounds = Number(process.env['CRASH_ROUNDS'] ?? 6);
    for (let round = 1; round <= rounds; round++) {
      await writeUntilKilled(child, clients, all, 1 + Math.floor(Math.random() * 400));
      ({ child, clients } = await startChild());
      for (const expected of all) await expectKept(clients, expected, round);
    }
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});

describe('storage as a child process', () => {
  test('ends when the process that started it is gone', async () => {
    const { child } = await startChild();
    const exited = once(child, 'exit');
    child.disconnect();
    expect(await exited).toEqual([0, null]);
  });
});

async function expectKept(clients: Clients, expected: Expected, round: number): Promise<void> {
  const { register, acknowledged, writing } = expected;
  let found: string | undefined;
  // A message that was received, not yet deleted, comes back when its time is over.
  await expect
    .poll(async () => (found = await register.read(clients)), { timeout: 5000, interval: 100 })
    .toSatisfy(
      (value: string) => value === acknowledged || value === writing,
      `${register.name}, round ${round}`,
    );
  expected.acknowledged = found!;
}
