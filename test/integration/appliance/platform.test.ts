import type { VMwareDetails } from '@azure/arm-recoveryservices-siterecovery';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addAccount } from '../../../appliance/configuration-server/account.ts';
import { openStore } from '../../../appliance/configuration-server/store.ts';
import { setUp, type SetupResult } from '../../../appliance/setup/set-up.ts';
import { startVCenter, type VCenter } from '../../../local/vcenter/server.ts';
import { listAll, startTestPlatform, type TestPlatform } from '../platform.ts';
import { ApplianceProcess } from './appliance-process.ts';

const vaultName = 'ContosoVMVault';
const password = 'S3cret of the vCenter';

describe('an appliance at the control plane', () => {
  let folder: string;
  let platform: TestPlatform;
  let vCenter: VCenter;
  let registered: SetupResult;
  let appliance: ApplianceProcess;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'appliance-'));
    platform = await startTestPlatform();
    await writeInventory(['web01', 'db01']);
    vCenter = await startVCenter({ inventoryFile: join(folder, 'inventory.json') });
    await platform.vaults().vaults.createOrUpdate(platform.resourceGroup, vaultName, { location: 'eastus' });
    const { body } = await platform.request(
      'POST',
      `${platform.vaultId(vaultName)}/secondsite/registrationKeys`,
    );
    await writeFile(join(folder, 'key.json'), JSON.stringify(body));
    registered = await register('data');
    const store = openStore(join(folder, 'data'));
    addAccount(store, 'vcenter', { userName: 'reader', password });
    store.db.close();
    appliance = await run();
  });

  afterAll(async () => {
    await appliance.end('SIGKILL');
    await vCenter.close();
    await platform.close();
    await rm(folder, { recursive: true, force: true });
  });

  test('shows as a fabric with its accounts', async () => {
    await expect.poll(accounts, { timeout: 30_000 }).toEqual([{ accountId: '1', accountName: 'vcenter' }]);
  });

  test('adds a vCenter and its machines become protectable', async () => {
    await platform
      .siteRecovery()
      .replicationvCenters.beginCreateAndWait(
        vaultName,
        platform.resourceGroup,
        registered.fabricName,
        'vc1',
        {
          properties: {
            friendlyName: 'vc1',
            ipAddress: '127.0.0.1',
            port: String(vCenter.port),
            processServerId: registered.applianceId,
            runAsAccountId: '1',
          },
        },
      );
    expect(await machineNames()).toEqual(['db01', 'web01']);
  });

  test('tells after a kill what it finds then', async () => {
    await appliance.end('SIGKILL');
    await writeInventory(['web01', 'db01', 'mail01']);
    appliance = await run();
    await expect.poll(machineNames, { timeout: 30_000 }).toEqual(['db01', 'mail01', 'web01']);
  });

  test('can’t take the key of another appliance', async () => {
    await expect(register('other')).rejects.toMatchObject({ fault: { code: 'RegistrationKeyUsed' } });
  });

  async function register(name: string): Promise<SetupResult> {
    const keyPath = join(folder, 'key.json');
    const where = { keyPath, dataFolder: join(folder, name), host: '127.0.0.1', port: 0 };
    return setUp({ ...where, waitSeconds: 0, onRetry: () => undefined });
  }

  async function run(): Promise<ApplianceProcess> {
    return ApplianceProcess.start(join(folder, 'data'), join(folder, 'appliance.log'));
  }

  async function accounts(): Promise<unknown> {
    const { replicationFabrics } = platform.siteRecovery();
    const fabric = await replicationFabrics.get(vaultName, platform.resourceGroup, registered.fabricName);
    const details = fabric.properties?.customDetails as VMwareDetails | undefined;
    return details?.runAsAccounts;
  }

  async function machineNames(): Promise<string[]> {
    const { replicationProtectableItems } = platform.siteRecovery();
    const items = await listAll(
      replicationProtectableItems.listByReplicationProtectionContainers(
        vaultName,
        platform.resourceGroup,
        registered.fabricName,
        `cloud_${registered.applianceId}`,
      ),
    );
    return items.map((item) => item.properties?.friendlyName ?? '').toSorted((a, b) => a.localeCompare(b));
  }

  async function writeInventory(names: string[]): Promise<void> {
    const machines = names.map((name, index) => ({
      name,
      moref: `vm-${index}`,
      biosUuid: `42081b1f-6d29-4f2c-9b4d-0a2b7f1e5a1${index}`,
    }));
    const inventory = { name: 'vc1', account: { user: 'reader', password }, machines };
    await writeFile(join(folder, 'inventory.json'), JSON.stringify(inventory));
  }
});
