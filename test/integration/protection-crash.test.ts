import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ProtectionSite, soon } from './protection-site.ts';
import { discoveredMachine } from './test-appliance.ts';

describe('protection when the host is killed', () => {
  let site: ProtectionSite;

  beforeAll(async () => {
    site = await ProtectionSite.start([discoveredMachine(1), discoveredMachine(2)]);
    await site.createPolicy();
    await site.associate('map1');
  });

  afterAll(async () => {
    await site.close();
  });

  /** Kills the functions host and waits until its successor answers. */
  async function killHost(): Promise<void> {
    const configPath = join(site.platform.platform.config.dataFolder, 'local.json');
    const hostPid = () =>
      (JSON.parse(readFileSync(configPath, 'utf8')) as { pids: Record<string, number> }).pids[
        'functions-host'
      ];
    const killed = hostPid();
    process.kill(killed ?? 0, 'SIGKILL');
    await vi.waitUntil(() => hostPid() !== killed, soon);
    await vi.waitUntil(async () => {
      try {
        return (await site.platform.request('GET', site.id('replicationJobs'))).status === 200;
      } catch {
        return false;
      }
    }, soon);
  }

  it('goes on with enabling at each of its waits, and does nothing twice', async () => {
    site.replication.instead.set('prepareMachine', () => undefined);
    const body = await site.enableBody('web-1');
    expect((await site.put('web-1', body)).status).toBe(202);
    const prepare = await vi.waitUntil(
      () => site.appliance.commands.find((command) => command.body.kind === 'prepareMachine'),
      soon,
    );
    await killHost();
    await site.appliance.checkIn({
      kind: 'commandResult',
      result: { commandId: prepare.commandId, outcome: 'succeeded', agentVersion: '0.1.0' },
    });
    await vi.waitUntil(
      () => site.appliance.commands.some(({ body }) => body.kind === 'startReplication'),
      soon,
    );
    await killHost();
    expect(await site.jobEnds('EnableDr', 'web-1')).toMatchObject({ properties: { state: 'Succeeded' } });
    const { protectedItemId } = await site.replicaLog('web-1');
    const ids = site.appliance.commands
      .filter(({ body }) => 'protectedItemId' in body && body.protectedItemId === protectedItemId)
      .map(({ commandId }) => commandId);
    expect(new Set(ids).size).toBe(2);
    await site.replication.replicas.get(protectedItemId)!.point(2);
    await killHost();
    await site.becomesProtected('web-1');
    await site.jobEnds('IrCompletion', 'web-1');
    expect(await site.jobsOf('IrCompletion', 'web-1')).toHaveLength(1);
    expect(await site.points('web-1')).toHaveLength(1);
  });

  it('undoes a failed enabling to the end', async () => {
    site.replication.instead.set('prepareMachine', () => ({
      outcome: 'failed',
      fault: { code: 'RemoteFailure', message: 'No agent is there.' },
    }));
    site.replication.instead.set('stopReplication', () => undefined);
    expect((await site.put('web-2', await site.enableBody('web-2'))).status).toBe(202);
    const stop = await vi.waitUntil(
      () => site.appliance.commands.findLast((command) => command.body.kind === 'stopReplication'),
      soon,
    );
    await killHost();
    await site.appliance.checkIn({
      kind: 'commandResult',
      result: { commandId: stop.commandId, outcome: 'succeeded' },
    });
    expect(await site.jobEnds('EnableDr', 'web-2')).toMatchObject({ properties: { state: 'Failed' } });
    expect(await site.leftOf('web-2', site.replication.lastItemAsked('prepareMachine'))).toEqual([]);
  });
});
