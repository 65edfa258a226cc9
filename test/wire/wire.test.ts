/**
 * The requests that real clients were seen to send are sent here, and the answers compared with the shapes that the
 * real service's answers had, field by field. `recorded-shapes.json` has those shapes: each path with the types seen
 * there (`[]`: an element of a list). What is accepted to differ stands below, with its reason.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { ProtectionSite, policyName } from '../integration/protection-site.ts';
import { discoveredMachine } from '../integration/test-appliance.ts';
import { type Shape, differences, shapeOf } from './shape.ts';
import { accepted } from './accepted-differences.ts';

const recorded = JSON.parse(
  readFileSync(resolve(import.meta.dirname, 'recorded-shapes.json'), 'utf8'),
) as Record<keyof typeof accepted, Shape>;

/** Differences that nobody has given a reason for, and reasons for differences that are none any more. */
function unexplained(kind: keyof typeof accepted, answer: unknown): string[] {
  const reasons: Record<string, string> = accepted[kind];
  const found = differences(recorded[kind], shapeOf(answer));
  return [
    ...found.filter((difference) => !(difference in reasons)),
    ...Object.keys(reasons)
      .filter((difference) => !found.includes(difference))
      .map((difference) => `no longer: ${difference}`),
  ];
}

test('shapes differ where a field is missing, new, or of another type, and not where one side is null', () => {
  const left = shapeOf({ gone: 1, kept: 'a', nothing: null, list: [{ a: 1 }], empty: [] });
  const right = shapeOf({ kept: 2, nothing: { deep: 1 }, list: [{ a: 1, b: null }], empty: [{ c: 1 }] });
  expect(differences(left, right)).toEqual([
    'missing: gone',
    'type: kept string -> number',
    'extra: list[].b',
  ]);
});

describe('the wire', () => {
  let site: ProtectionSite;

  beforeAll(async () => {
    const nic = { key: 4_000, label: 'Network adapter 1', network: 'VM Network', connected: true };
    site = await ProtectionSite.start([
      discoveredMachine(1, { nics: [{ ...nic, mac: '00:50:56:95:14:5E', ipAddresses: ['10.0.1.1'] }] }),
      discoveredMachine(2),
    ]);
  });

  afterAll(async () => {
    await site.close();
  });

  /** Sends a body as it was seen, and follows the operation as the client that sent it does. */
  async function put(path: string, body: unknown): Promise<{ status: unknown; jobName: string }> {
    const answer = await site.platform.request('PUT', site.id(path), { body });
    expect(answer.status).toBe(202);
    expect(answer.body).toBeUndefined();
    const { headers } = answer;
    const jobName = /\/operationresults\/([^/?]+)/u.exec(headers.get('location') ?? '')?.[1] ?? '';
    expect(headers.get('azure-asyncoperation')).toContain(
      `/replicationOperationStatus/${jobName}?api-version=`,
    );
    expect(headers.get('location')?.toLowerCase()).toContain(
      `${path}/operationresults/${jobName}`.toLowerCase(),
    );
    expect(headers.get('x-ms-request-id')).toMatch(new RegExp(`/replicationJobs/${jobName}$`, 'u'));
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    const status = await expect
      .poll(async () => get(`replicationOperationStatus/${jobName}`), { timeout: 30_000, interval: 100 })
      .toMatchObject({ status: 'Succeeded' })
      .then(() => get(`replicationOperationStatus/${jobName}`));
    return { status, jobName };
  }

  async function get(path: string): Promise<unknown> {
    const { status, body } = await site.platform.request('GET', site.id(path));
    expect(status).toBe(200);
    return body;
  }

  const containerPath = () => {
    const { fabricName, containerName } = site.appliance.registration;
    return `replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}`;
  };

  it('has policies in the recorded shape, and their operation', async () => {
    const { status } = await put(`replicationPolicies/${policyName}`, {
      properties: {
        providerSpecificInput: {
          instanceType: 'InMageAzureV2',
          appConsistentFrequencyInMinutes: 0,
          crashConsistentFrequencyInMinutes: 5,
          multiVmSyncStatus: 'Enable',
          recoveryPointHistory: 2_880,
          recoveryPointThresholdInMinutes: 10,
        },
      },
    });
    expect(unexplained('operationStatus', status)).toEqual([]);
    expect(unexplained('policy', await get(`replicationPolicies/${policyName}`))).toEqual([]);
    expect(unexplained('failbackPolicy', await get(`replicationPolicies/${policyName}-failback`))).toEqual(
      [],
    );
  });

  it('has the job of a vCenter that is added in the recorded shape', async () => {
    const { fabricName, applianceId } = site.appliance.registration;
    const { jobName } = await put(`replicationFabrics/${fabricName}/replicationvCenters/vc1`, {
      properties: {
        friendlyName: 'vc1',
        ipAddress: '10.150.4.17',
        processServerId: applianceId,
        port: '443',
        runAsAccountId: '1',
      },
    });
    expect(unexplained('vCenterJob', await get(`replicationJobs/${jobName}`))).toEqual([]);
  });

  it('has associations in the recorded shape', async () => {
    await put(`${containerPath()}/replicationProtectionContainerMappings/map1`, {
      properties: {
        targetProtectionContainerId: 'Microsoft Azure',
        policyId: site.id(`replicationPolicies/${policyName}`),
        providerSpecificInput: null,
      },
    });
    expect(unexplained('mappingList', await get('replicationProtectionContainerMappings'))).toEqual([]);
  });

  it('has fabrics, containers and machines in the recorded shape', async () => {
    const { fabricName } = site.appliance.registration;
    expect(unexplained('fabric', await get(`replicationFabrics/${fabricName}`))).toEqual([]);
    expect(unexplained('containerList', await get('replicationProtectionContainers'))).toEqual([]);
    const machine = await site.machine('web-2');
    expect(
      unexplained(
        'protectableItem',
        await get(`${containerPath()}/replicationProtectableItems/${machine?.name}`),
      ),
    ).toEqual([]);
  });

  it('has jobs, items and recovery points in the recorded shape', async () => {
    const machine = await site.machine('web-1');
    const { applianceId } = site.appliance.registration;
    const path = `${containerPath()}/replicationProtectedItems/web-1`;
    const group = `/subscriptions/${site.platform.subscriptionId}/resourceGroups/${site.group}`;
    const { jobName } = await put(path, {
      properties: {
        policyId: site.id(`replicationPolicies/${policyName}`),
        protectableItemId: machine?.id,
        providerSpecificDetails: {
          instanceType: 'InMageAzureV2',
          masterTargetId: applianceId,
          processServerId: applianceId,
          runAsAccountId: '2',
          targetAzureNetworkId: `${group}/providers/Microsoft.Network/virtualNetworks/ContosoVNet`,
          targetAzureSubnetId: 'default',
          enableRdpOnTargetOption: 'Never',
          targetAzureVmName: 'web-1',
          logStorageAccountId: `${group}/providers/Microsoft.Storage/storageAccounts/contosovmreplica`,
          targetAzureV2ResourceGroupId: group,
        },
      },
    });
    expect(unexplained('enableJob', await get(`replicationJobs/${jobName}`))).toEqual([]);
    const { protectedItemId } = await site.replicaLog('web-1');
    await site.replication.replicas.get(protectedItemId)?.point();
    await site.becomesProtected('web-1');
    await site.jobEnds('IrCompletion', 'web-1');
    expect(unexplained('protectedItem', await get(path))).toEqual([]);
    expect(unexplained('recoveryPointList', await get(`${path}/recoveryPoints`))).toEqual([]);
  });

  it('has events in the recorded shape', async () => {
    const network = `/subscriptions/${site.platform.subscriptionId}/resourceGroups/${site.group}/providers/Microsoft.Network/virtualNetworks/none`;
    const body = { properties: { selectedRecoveryAzureNetworkId: network } };
    const { status } = await site.platform.request('PATCH', site.itemId('web-1'), { body });
    expect(status).toBe(202);
    await site.jobEnds('UpdateVmProperties', 'web-1');
    expect(unexplained('eventList', await get('replicationEvents'))).toEqual([]);
  });
});
