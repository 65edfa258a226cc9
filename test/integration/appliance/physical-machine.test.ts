import type {
  ReplicationProtectedItem,
  VMwareDetails,
  VMwareVirtualMachineDetails,
} from '@azure/arm-recoveryservices-siterecovery';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { getPassphrase } from '../../../appliance/configuration-server/identity.ts';
import { openStore, findSetting } from '../../../appliance/configuration-server/store.ts';
import { setUp, type SetupResult } from '../../../appliance/setup/set-up.ts';
import { makeDiskImage } from '../../../local/demo/disk-image.ts';
import { MiB } from '../../../shared/bytes.ts';
import { listAll, startTestPlatform, type TestPlatform } from '../platform.ts';
import { ApplianceProcess } from './appliance-process.ts';

const vaultName = 'ContosoVMVault';
const name = 'bare-metal';
const biosUuid = '4c4c4544-0043-3510-8052-b4c04f564a31';
const agentMain = resolve(import.meta.dirname, '../../../appliance/mobility-agent/main.ts');
const quick = { updateIntervalInMs: 200 };
const soon = { timeout: 60_000, interval: 200 };

describe('a physical machine', () => {
  let folder: string;
  let platform: TestPlatform;
  let registered: SetupResult;
  let appliance: ApplianceProcess;
  let agent: ChildProcess | undefined;
  let port = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'physical-'));
    platform = await startTestPlatform();
    await platform.vaults().vaults.createOrUpdate(platform.resourceGroup, vaultName, { location: 'eastus' });
    const key = await platform.request('POST', `${platform.vaultId(vaultName)}/secondsite/registrationKeys`);
    const keyPath = join(folder, 'key.json');
    writeFileSync(keyPath, JSON.stringify(key.body));
    const where = { keyPath, dataFolder: join(folder, 'data'), host: '127.0.0.1', port: 0 };
    registered = await setUp({ ...where, waitSeconds: 0, onRetry: () => undefined });
    appliance = await ApplianceProcess.start(join(folder, 'data'), join(folder, 'appliance.log'));
    const store = openStore(join(folder, 'data'));
    port = Number(findSetting(store, 'chosenPort'));
    writeFileSync(join(folder, 'passphrase'), getPassphrase(store));
    store.db.close();
    await createPolicy();
  });

  afterAll(async () => {
    if (agent?.exitCode === null) {
      const ended = once(agent, 'exit');
      agent.kill('SIGTERM');
      await ended;
    }
    await appliance.end('SIGTERM');
    await platform.close();
    await rm(folder, { recursive: true, force: true });
  });

  function container(): [string, string, string, string] {
    return [vaultName, platform.resourceGroup, registered.fabricName, `cloud_${registered.applianceId}`];
  }

  async function createPolicy(): Promise<void> {
    const { replicationPolicies, replicationProtectionContainerMappings } = platform.siteRecovery();
    const providerSpecificInput = {
      instanceType: 'InMageAzureV2' as const,
      recoveryPointThresholdInMinutes: 60,
      recoveryPointHistory: 4_320,
      appConsistentFrequencyInMinutes: 60,
      crashConsistentFrequencyInMinutes: 5,
      multiVmSyncStatus: 'Enable' as const,
    };
    const policy = { properties: { providerSpecificInput } };
    await replicationPolicies.beginCreateAndWait(vaultName, platform.resourceGroup, 'policy', policy, quick);
    await replicationProtectionContainerMappings.beginCreateAndWait(
      ...container(),
      'policy',
      { properties: { policyId: policyId(), targetProtectionContainerId: 'Microsoft Azure' } },
      quick,
    );
  }

  function policyId(): string {
    return `${platform.vaultId(vaultName)}/replicationPolicies/policy`;
  }

  function discover(properties: { friendlyName: string; ipAddress: string; osType: string }) {
    const { replicationProtectionContainers } = platform.siteRecovery();
    return replicationProtectionContainers.beginDiscoverProtectableItemAndWait(
      ...container(),
      { properties },
      quick,
    );
  }

  async function machine() {
    const { replicationProtectableItems } = platform.siteRecovery();
    const items = await listAll(
      replicationProtectableItems.listByReplicationProtectionContainers(...container()),
    );
    const item = items.find(({ properties }) => properties?.friendlyName === name);
    return { item, details: item?.properties?.customDetails as VMwareVirtualMachineDetails | undefined };
  }

  async function enable(): Promise<ReplicationProtectedItem> {
    const { item } = await machine();
    return platform.siteRecovery().replicationProtectedItems.beginCreateAndWait(
      ...container(),
      name,
      {
        properties: {
          policyId: policyId(),
          protectableItemId: item?.id ?? '',
          providerSpecificDetails: { instanceType: 'InMageAzureV2' },
        },
      },
      quick,
    );
  }

  function forget() {
    return machine().then(({ item }) =>
      platform.request(
        'DELETE',
        `${platform.vaultId(vaultName)}/secondsite/physicalMachines/${item?.name ?? ''}`,
      ),
    );
  }

  /** Fingerprint of what the port for agents shows. */
  async function fingerprint(): Promise<string> {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  }

  test('is not taken with an address, a name or a system that says nothing', async () => {
    const good = { friendlyName: name, ipAddress: '127.0.0.1', osType: 'Linux' };
    for (const wrong of [{ ipAddress: 'localhost' }, { friendlyName: ' ' }, { osType: 'BeOS' }]) {
      const field = Object.keys(wrong)[0] ?? '';
      await expect(discover({ ...good, ...wrong })).rejects.toMatchObject({
        statusCode: 400,
        message: expect.stringContaining(field),
      });
    }
  });

  test('is listed by its address, and can not be protected before its agent tells its disks', async () => {
    await discover({ friendlyName: name, ipAddress: '127.0.0.1', osType: 'Linux' });
    const { item, details } = await machine();
    expect(item?.properties?.protectionStatus).toBe('Unprotected');
    expect(details).toMatchObject({
      discoveryType: 'Physical',
      osType: 'LINUX',
      ipAddress: '127.0.0.1',
      poweredOn: 'Off',
      agentInstalled: 'NotInstalled',
      diskDetails: [],
    });
    expect(item?.properties?.protectionReadinessErrors?.[0]).toContain('Enrol');
    await expect(enable()).rejects.toMatchObject({ statusCode: 400 });
  });

  test('is one machine, by whatever name it is taken', async () => {
    const again = { friendlyName: 'another', ipAddress: '127.0.0.1', osType: 'Linux' };
    await expect(discover(again)).rejects.toMatchObject({ statusCode: 409 });
    const sameName = { friendlyName: name.toUpperCase(), ipAddress: '10.1.1.1', osType: 'Linux' };
    await expect(discover(sameName)).rejects.toMatchObject({ statusCode: 409 });
  });

  test('has the disks of the agent that was enrolled there by hand', async () => {
    const image = join(folder, 'disk.raw');
    makeDiskImage(image, 8 * MiB, name);
    const data = ['--data-folder', join(folder, 'agent')];
    await promisify(execFile)(process.execPath, [
      agentMain,
      'enrol',
      ...data,
      '--server',
      `127.0.0.1:${port}`,
      '--passphrase-file',
      join(folder, 'passphrase'),
      '--bios-uuid',
      biosUuid,
    ]);
    agent = spawn(process.execPath, [agentMain, 'run', ...data, '--disk', `sda=${image}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await expect
      .poll(async () => (await machine()).details?.diskDetails?.map(({ diskId }) => diskId), soon)
      .toEqual(['sda']);
    const { item, details } = await machine();
    expect(item?.properties?.protectionReadinessErrors).toEqual([]);
    expect(details).toMatchObject({
      poweredOn: 'On',
      agentInstalled: 'Installed',
      agentGeneratedId: biosUuid,
      diskDetails: [{ diskId: 'sda', diskSizeInMB: '8', diskType: 'OperatingSystem' }],
    });
  });

  test('is replicated like any other', { timeout: 120_000 }, async () => {
    const enabled = await enable();
    expect(enabled.properties?.providerSpecificDetails).toMatchObject({
      instanceType: 'InMageAzureV2',
      discoveryType: 'Physical',
    });
    const { replicationProtectedItems, recoveryPoints } = platform.siteRecovery();
    const state = async () =>
      (await replicationProtectedItems.get(...container(), name)).properties?.protectionState;
    await expect.poll(state, soon).toBe('Protected');
    const points = await listAll(recoveryPoints.listByReplicationProtectedItems(...container(), name));
    expect(points.length).toBeGreaterThan(0);
    expect((await machine()).item?.properties?.protectionStatus).toBe('Protected');
    expect((await forget()).status).toBe(409);
  });

  test('goes on after the certificate of the process server was renewed by the vault', async () => {
    const { replicationFabrics, replicationProtectedItems } = platform.siteRecovery();
    const fabric = [vaultName, platform.resourceGroup, registered.fabricName] as const;
    const before = await fingerprint();
    const renewal = { properties: { renewCertificateType: 'Cloud' } };
    const renewed = await replicationFabrics.beginRenewCertificateAndWait(...fabric, renewal, quick);
    expect(renewed.name).toBe(registered.fabricName);
    expect(await fingerprint()).not.toBe(before);
    const expiry = async () => {
      const details = (await replicationFabrics.get(...fabric)).properties?.customDetails;
      return (details as VMwareDetails | undefined)?.sslCertExpiryRemainingDays;
    };
    await expect.poll(expiry, soon).toBe(824);
    const { body } = await platform.request(
      'POST',
      `${platform.vaultId(vaultName)}/secondsite/recoveryPoints`,
      {
        body: {
          properties: { protectedItemId: (await replicationProtectedItems.get(...container(), name)).id },
        },
      },
    );
    expect(body).toBeUndefined();
    const points = async () =>
      (
        await listAll(
          platform.siteRecovery().recoveryPoints.listByReplicationProtectedItems(...container(), name),
        )
      ).length;
    await expect.poll(points, soon).toBe(2);
  });

  test('has a configuration server whose machine the vault shows as set-up measured it', async () => {
    const path = `${platform.vaultId(vaultName)}/replicationFabrics/${registered.fabricName}`;
    const { body } = await platform.request('GET', path);
    expect(body).toMatchObject({
      properties: { customDetails: { secondsite: { prerequisites: registered.prerequisites } } },
    });
  });

  test('is forgotten once it is not protected', { timeout: 120_000 }, async () => {
    const { replicationProtectedItems } = platform.siteRecovery();
    await replicationProtectedItems.beginDeleteAndWait(
      ...container(),
      name,
      { properties: { disableProtectionReason: 'NotSpecified' } },
      quick,
    );
    const path = `${platform.vaultId(vaultName)}/secondsite/physicalMachines/${(await machine()).item?.name ?? ''}`;
    expect((await platform.request('DELETE', path)).status).toBe(204);
    expect((await machine()).item).toBeUndefined();
    expect((await platform.request('DELETE', path)).status).toBe(204);
  });
});
