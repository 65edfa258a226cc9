/** Sends what the real service's clients sent it, as recorded, and compares the shapes of the answers field by field. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { ProtectionSite, soon } from './protection-site.ts';
import { discoveredMachine, heartbeat } from './test-appliance.ts';

type Shape = Record<string, string[]>;

const recorded = (
  JSON.parse(readFileSync(resolve(import.meta.dirname, '../fixtures/arm-shapes.json'), 'utf8')) as {
    shapes: Record<string, Shape>;
  }
).shapes;

/** Where our answers differ, and why: the first that fits counts. */
const accepted: readonly { what: RegExp; reason: string }[] = [
  {
    what: /^(?:fabric|protectableItem): additional properties\.customDetails\.secondsite\./u,
    reason: 'Ours: what set-up measured of the server, and where a machine is in its vCenter.',
  },
  {
    what: /^(?:protectableItem: properties\.customDetails\.agent(?:GeneratedId|Version)|protectedItem: properties\.providerSpecificDetails\.lastHeartbeat) is null/u,
    reason: 'The heartbeat of this test tells of no mobility agent; the recorded machine had one.',
  },
  {
    what: /^protectedItem: properties\.providerSpecificDetails\.selectedSourceNicId is null/u,
    reason: 'The machine of this test has no network card.',
  },
  {
    what: /^protectedItem: properties\.providerSpecificDetails\.(?:recoveryAzureVMSize|targetAvailabilityZone|targetVmId) is null/u,
    reason: 'The request names none, and Secondsite chooses none before a failover.',
  },
  {
    what: /^(?:vCenterJob|enableJob): additional properties\.endTime$/u,
    reason: 'The recorded jobs still ran; ours have ended.',
  },
  {
    what: /^enableJob: missing properties\.customDetails\.affectedObjectDetails\.protectionProfileId$/u,
    reason: "The item's policyId names the policy; its GUID is used nowhere else.",
  },
];

let site: ProtectionSite;
/** ARM id of the fabric. */
let fabric: string;
let container: string;

beforeAll(async () => {
  site = await ProtectionSite.start([discoveredMachine(1)]);
  const { fabricName, containerName } = site.appliance.registration;
  fabric = site.id(`replicationFabrics/${fabricName}`);
  container = `${fabric}/replicationProtectionContainers/${containerName}`;
});

afterAll(async () => {
  await site.close();
});

/** Types of JSON by path; `[]` stands for any element of a list. */
function shapeOf(value: unknown, path = '', shape: Shape = {}): Shape {
  const add = (path: string, type: string) => {
    shape[path] = [...new Set([...(shape[path] ?? []), type])].sort();
  };
  if (Array.isArray(value)) {
    if (value.length === 0) add(`${path}[]`, 'none');
    for (const element of value) shapeOf(element, `${path}[]`, shape);
  } else if (typeof value === 'object' && value !== null) {
    if (Object.keys(value).length === 0) add(path, 'object');
    for (const [key, part] of Object.entries(value))
      shapeOf(part, path === '' ? key : `${path}.${key}`, shape);
  } else add(path, value === null ? 'null' : typeof value);
  return shape;
}

/** What differs: fields that are missing, additional, or of another type. An empty list, null and absence tell no type. */
function differences(name: string, answer: unknown): string[] {
  const theirs = recorded[name] ?? {};
  const ours = shapeOf(answer);
  const found: string[] = [];
  for (const path of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [wanted, got] = [theirs[path], ours[path]];
    // An empty list: whether it is there tells nothing that its elements would not.
    if ([wanted, got].some((types) => types?.length === 1 && types[0] === 'none')) continue;
    if (wanted === undefined && !hasElementless(theirs, path)) found.push(`${name}: additional ${path}`);
    else if (got === undefined && !hasElementless(ours, path)) found.push(`${name}: missing ${path}`);
    else if (wanted !== undefined && got !== undefined && !compatible(wanted, got)) {
      found.push(`${name}: ${path} is ${got.join('|')}, not ${wanted.join('|')}`);
    }
  }
  return found.filter((one) => !accepted.some(({ what }) => what.test(one)));
}

/** Whether a list or object above the path is empty or null there, so that nothing is known of what is in it. */
function hasElementless(shape: Shape, path: string): boolean {
  const words = path.split(/(?=\[\]|\.)/u);
  return words.some((_, at) => {
    const above = words.slice(0, at + 1).join('');
    const types = shape[above] ?? [];
    return (
      types.some((type) => ['none', 'null', 'object'].includes(type)) || shape[`${above}[]`]?.[0] === 'none'
    );
  });
}

/** Theirs of null or nothing tells no type; ours of null, where theirs has a value, is a difference. */
function compatible(wanted: string[], got: string[]): boolean {
  return (
    wanted.every((type) => ['null', 'object'].includes(type)) || got.some((type) => wanted.includes(type))
  );
}

/** PUTs a recorded body and follows the headers as a client does, to the job that it began. */
async function putAndFollow(path: string, body: object): Promise<Record<string, unknown>> {
  const begun = await site.platform.request('PUT', path, { body });
  expect([begun.status, begun.body]).toEqual([202, undefined]);
  const where = begun.headers.get('azure-asyncoperation') ?? '';
  const location = begun.headers.get('location') ?? '';
  const jobId = /operationresults\/([^?]+)\?/iu.exec(location)?.[1] ?? '';
  expect([where.includes(`replicationOperationStatus/${jobId}`), begun.headers.get('retry-after')]).toEqual([
    true,
    expect.stringMatching(/^\d+$/u),
  ]);
  const status = new URL(where);
  await vi.waitUntil(async () => {
    const { body } = await site.platform.request('GET', `${status.pathname}${status.search}`);
    return (body as { status: string }).status === 'Succeeded';
  }, soon);
  return get(site.id(`replicationJobs/${jobId}`));
}

async function get(path: string): Promise<Record<string, unknown>> {
  const answer = await site.platform.request('GET', path);
  expect(answer.status).toBe(200);
  return answer.body as Record<string, unknown>;
}

async function first(path: string): Promise<unknown> {
  return ((await get(path)) as { value: unknown[] }).value[0];
}

it('fabrics, containers and machines look as the real service’s', async () => {
  await site.appliance.checkIn(heartbeat());
  const machine = (await site.machine('web-1'))?.id ?? '';
  await vi.waitFor(async () => {
    const details = (await get(fabric))['properties'] as { customDetails: { runAsAccounts: unknown[] } };
    expect(details.customDetails.runAsAccounts).toHaveLength(1);
  }, soon);
  expect([
    ...differences('fabric', await get(fabric)),
    ...differences('container', await get(container)),
    ...differences('protectableItem', await get(machine)),
  ]).toEqual([]);
});

it('a vCenter is added by the recorded request', async () => {
  const job = await putAndFollow(`${fabric}/replicationvCenters/vc1`, {
    properties: {
      friendlyName: 'vc1',
      ipAddress: '10.150.4.17',
      processServerId: site.appliance.registration.applianceId,
      port: '443',
      runAsAccountId: '1',
    },
  });
  expect(differences('vCenterJob', job)).toEqual([]);
});

it('a machine is protected by the recorded requests', async () => {
  const policy = site.id('replicationPolicies/Policyv2a');
  await putAndFollow(policy, {
    properties: {
      providerSpecificInput: {
        instanceType: 'InMageAzureV2',
        appConsistentFrequencyInMinutes: 0,
        crashConsistentFrequencyInMinutes: 5,
        multiVmSyncStatus: 'Enable',
        recoveryPointHistory: 2880,
        recoveryPointThresholdInMinutes: 10,
      },
    },
  });
  const mapping = `${container}/replicationProtectionContainerMappings/mapv2a`;
  await putAndFollow(mapping, {
    properties: {
      policyId: policy,
      targetProtectionContainerId: 'Microsoft Azure',
      providerSpecificInput: null,
    },
  });
  const group = `/subscriptions/${site.platform.subscriptionId}/resourceGroups/${site.group}`;
  const { applianceId } = site.appliance.registration;
  const job = await putAndFollow(site.itemId('V2A-W2K16-201-new'), {
    properties: {
      policyId: policy,
      protectableItemId: (await site.machine('web-1'))?.id,
      providerSpecificDetails: {
        instanceType: 'InMageAzureV2',
        masterTargetId: applianceId,
        processServerId: applianceId,
        runAsAccountId: '2',
        targetAzureNetworkId: `${group}/providers/Microsoft.Network/virtualNetworks/ContosoVNet`,
        targetAzureSubnetId: 'default',
        enableRdpOnTargetOption: 'Never',
        targetAzureVmName: 'V2A-W2K16-201',
        logStorageAccountId: `${group}/providers/Microsoft.Storage/storageAccounts/contosovmreplica`,
        targetAzureV2ResourceGroupId: group,
      },
    },
  });
  const { protectedItemId } = await site.replicaLog('V2A-W2K16-201-new');
  await site.replication.replicas.get(protectedItemId)?.point();
  await site.becomesProtected('V2A-W2K16-201-new');
  expect([
    ...differences('enableJob', job),
    ...differences('policy', await get(policy)),
    ...differences('failbackPolicy', await get(`${policy}-failback`)),
    ...differences('mapping', await get(mapping)),
    ...differences('protectedItem', await get(site.itemId('V2A-W2K16-201-new'))),
    ...differences('recoveryPoint', await first(`${site.itemId('V2A-W2K16-201-new')}/recoveryPoints`)),
  ]).toEqual([]);
});
