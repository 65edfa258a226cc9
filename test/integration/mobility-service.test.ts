import type { InMageAzureV2ReplicationDetails } from '@azure/arm-recoveryservices-siterecovery';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { CheckInBody } from '../../shared/wire/check-in.ts';
import { ProtectionSite, quick, soon } from './protection-site.ts';
import { discoveredMachine, heartbeat } from './test-appliance.ts';

describe('the mobility service of a machine', () => {
  let site: ProtectionSite;

  beforeAll(async () => {
    site = await ProtectionSite.start([
      discoveredMachine(1, { ipAddresses: ['fe80::1', '2001:db8::7', '10.0.1.1'] }),
      discoveredMachine(2),
    ]);
    await site.createPolicy();
    await site.associate('map1');
  });

  afterAll(async () => {
    await site.close();
  });

  const lastCommand = () => site.appliance.commands.at(-1);
  const details = async () =>
    (await site.item('web-1')).properties?.providerSpecificDetails as InMageAzureV2ReplicationDetails;
  const description = async () => {
    const { properties } = await site.job('EnableDr', 'web-1');
    return properties?.tasks?.find(({ name }) => name === 'CreateProtectionTarget')?.stateDescription;
  };

  async function agentIs(version: string, isAgentUpdateRequired: string): Promise<void> {
    const { biosUuid } = discoveredMachine(1);
    const agent = { biosUuid, hostName: 'web-1', ipAddress: '10.0.1.1', osName: 'Debian 12', version };
    const told = heartbeat() as Extract<CheckInBody, { kind: 'heartbeat' }>;
    await site.appliance.checkIn({
      ...told,
      agents: [{ ...agent, lastHeartbeatMs: Date.now() }],
      agentPackageVersion: '0.2.0',
    });
    await vi.waitUntil(async () => {
      const found = await details();
      return found.agentVersion === version && found.isAgentUpdateRequired === isAgentUpdateRequired;
    }, soon);
  }

  it('fails in its own task, under Site Recovery’s code, and can be asked for again', async () => {
    site.replication.instead.set('prepareMachine', () => ({
      outcome: 'failed',
      fault: {
        code: 'RemoteFailure',
        armCode: '95108',
        message: "10.0.1.1:22 does not let 'root' in.",
        possibleCauses: 'The password is wrong.',
        recommendedAction: 'Correct the account.',
      },
    }));
    const body = await site.enableBody('web-1', { runAsAccountId: '7' });
    await site.put('web-1', body);
    const { properties } = await site.jobEnds('EnableDr', 'web-1');
    expect(properties).toMatchObject({
      state: 'Failed',
      errors: [
        {
          taskId: 'CreateProtectionTargetTask',
          serviceErrorDetails: { code: '95108', possibleCauses: 'The password is wrong.' },
        },
      ],
    });
    site.replication.instead.delete('prepareMachine');
  });

  it('is installed with the account and at the addresses that the machine has, and shows how far it is', async () => {
    site.replication.silent.add('prepareMachine');
    await site.put('web-1', await site.enableBody('web-1', { runAsAccountId: '7' }));
    await vi.waitUntil(() => lastCommand()?.body.kind === 'prepareMachine', soon);
    const command = lastCommand();
    expect(command?.body).toMatchObject({
      push: { addresses: ['10.0.1.1', '2001:db8::7'], osType: 'LINUX', accountId: '7' },
    });
    const commandId = command?.commandId ?? '';
    const tell = (step: string, percent: number) =>
      site.appliance.checkIn({ kind: 'commandProgress', commandId, step, percent });
    await tell('Copying the Mobility Service (40 MiB): 40 %', 43);
    await tell('Connecting to the machine', 5); // late
    await vi.waitUntil(async () => (await description()) !== 'InProgress', soon);
    expect(await description()).toBe('InProgress: Copying the Mobility Service (40 MiB): 40 % (43 %)');
    await site.appliance.checkIn({
      kind: 'commandResult',
      result: { commandId, outcome: 'succeeded', agentVersion: '0.1.0' },
    });
    site.replication.silent.delete('prepareMachine');
    await site.jobEnds('EnableDr', 'web-1');
    expect(await description()).toBe('Completed');
    const { protectedItemId } = await site.replicaLog('web-1');
    await site.replication.replicas.get(protectedItemId)?.point();
    await site.becomesProtected('web-1');
    await site.jobEnds('IrCompletion', 'web-1');
  });

  it('is left to be installed by hand where no account was chosen', async () => {
    await site.enable('web-2');
    const prepare = site.appliance.commands.findLast(({ body }) => body.kind === 'prepareMachine');
    expect(prepare?.body).not.toHaveProperty('push');
  });

  it('says that it wants an update when its server has a newer one, and gets it in a job', async () => {
    await agentIs('0.1.0', 'Required');
    const { replicationProtectedItems: items } = site.client;
    const body = { properties: { runAsAccountId: '9' } };
    await items.beginUpdateMobilityServiceAndWait(...site.container, 'web-1', body, quick);
    expect(lastCommand()?.body).toMatchObject({ kind: 'updateAgent', push: { accountId: '9' } });
    expect((await site.jobEnds('UpdateMobilityService', 'web-1')).properties).toMatchObject({
      friendlyName: 'Update Mobility Service',
      state: 'Succeeded',
    });
    await agentIs('0.2.0', 'NotRequired');
    expect((await site.item('web-1')).properties?.currentScenario?.scenarioName).toBe('None');
  });

  it('takes the account that was chosen before, and refuses an update where there never was one', async () => {
    const { replicationProtectedItems: items } = site.client;
    const update = (item: string) =>
      items.beginUpdateMobilityServiceAndWait(...site.container, item, { properties: {} }, quick);
    await update('web-1');
    expect(lastCommand()?.body).toMatchObject({ kind: 'updateAgent', push: { accountId: '7' } });
    await expect(update('web-2')).rejects.toMatchObject({
      message: expect.stringContaining('runAsAccountId') as string,
    });
    expect((await site.item('web-2')).properties?.currentScenario?.scenarioName).toBe('None');
  });
});
