import type { InMageAzureV2ReplicationDetails } from '@azure/arm-recoveryservices-siterecovery';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Command } from '../../shared/wire/command.ts';
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

  /** Waits for a command, kills the host while its orchestration waits for the answer, then answers. */
  async function killBeforeAnswer(
    kind: Command['body']['kind'],
    outcome: 'succeeded' | 'failed',
  ): Promise<void> {
    const command = await vi.waitUntil(
      () => site.appliance.commands.findLast(({ body }) => body.kind === kind),
      soon,
    );
    if (kind === 'startReplication') await progressIsKept();
    await killHost();
    const fault = { code: 'RemoteFailure' as const, message: 'No agent is there.' };
    await site.appliance.checkIn({
      kind: 'commandResult',
      result: { commandId: command.commandId, outcome, ...(outcome === 'failed' && { fault }) },
    });
  }

  async function progressIsKept(): Promise<void> {
    await vi.waitUntil(async () => {
      const details = (await site.item('web-1')).properties?.providerSpecificDetails;
      return (details as InMageAzureV2ReplicationDetails | undefined)?.resyncProgressPercentage === 25;
    }, soon);
  }

  it('goes on with enabling at each of its waits, and does nothing twice', async () => {
    site.replication.silent.add('prepareMachine').add('startReplication');
    expect((await site.put('web-1', await site.enableBody('web-1'))).status).toBe(202);
    await killBeforeAnswer('prepareMachine', 'succeeded');
    await killBeforeAnswer('startReplication', 'succeeded');
    expect(await site.jobEnds('EnableDr', 'web-1')).toMatchObject({ properties: { state: 'Succeeded' } });
    const { protectedItemId } = await site.replicaLog('web-1');
    expect(site.replication.kindsFor(protectedItemId)).toEqual(['prepareMachine', 'startReplication']);
    await killHost();
    await site.replication.replicas.get(protectedItemId)!.point(2);
    await site.becomesProtected('web-1');
    await site.jobEnds('IrCompletion', 'web-1');
    expect(await site.jobsOf('IrCompletion', 'web-1')).toHaveLength(1);
    expect(await site.points('web-1')).toHaveLength(1);
  });

  it('undoes a failed enabling to the end', async () => {
    site.replication.silent.add('prepareMachine').add('stopReplication');
    expect((await site.put('web-2', await site.enableBody('web-2'))).status).toBe(202);
    await vi.waitUntil(() => site.appliance.commands.at(-1)?.body.kind === 'prepareMachine', soon);
    await killBeforeAnswer('prepareMachine', 'failed');
    await killBeforeAnswer('stopReplication', 'succeeded');
    expect(await site.jobEnds('EnableDr', 'web-2')).toMatchObject({ properties: { state: 'Failed' } });
    expect(await site.leftOf('web-2', site.replication.lastItemAsked('prepareMachine'))).toEqual([]);
  });
});
