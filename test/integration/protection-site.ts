/** A vault with a replicating appliance and its machines, and short words for what tests ask of it. */
import { randomUUID } from 'node:crypto';
import type { Job, ReplicationProtectedItem } from '@azure/arm-recoveryservices-siterecovery';
import { TableClient, TableServiceClient } from '@azure/data-tables';
import { BlobServiceClient } from '@azure/storage-blob';
import { vi } from 'vitest';
import { type DiscoveredMachine } from '../../shared/wire/discovery.ts';
import { type TestPlatform, listAll, startTestPlatform } from './platform.ts';
import { TestAppliance, discovery, heartbeat } from './test-appliance.ts';
import { TestReplication } from './test-replication.ts';

export const vaultName = 'ContosoVMVault';
export const policyName = 'VMwareRepPolicy';
export const soon = { timeout: 30_000, interval: 100 };
export const quick = { updateIntervalInMs: 100 };

type EnableBody = {
  properties: {
    policyId: string;
    protectableItemId: string;
    providerSpecificDetails: { instanceType: 'InMageAzureV2' };
  };
};

export class ProtectionSite {
  readonly platform: TestPlatform;
  readonly appliance: TestAppliance;
  readonly replication: TestReplication;

  private constructor(platform: TestPlatform, appliance: TestAppliance) {
    this.platform = platform;
    this.appliance = appliance;
    this.replication = new TestReplication(appliance);
  }

  /** Starts it all; resolves when the machines are known. */
  static async start(machines: DiscoveredMachine[]): Promise<ProtectionSite> {
    const platform = await startTestPlatform();
    await platform.vaults().vaults.createOrUpdate(platform.resourceGroup, vaultName, { location: 'eastus' });
    const site = new ProtectionSite(platform, await TestAppliance.register(platform, vaultName));
    await site.appliance.checkIn(heartbeat());
    await site.appliance.checkIn(discovery('vc1', machines));
    await vi.waitUntil(async () => (await site.machines()).length === machines.length, soon);
    return site;
  }

  async close(): Promise<void> {
    await this.appliance.close();
    await this.platform.close();
  }

  get client() {
    return this.platform.siteRecovery();
  }

  get group(): string {
    return this.platform.resourceGroup;
  }

  /** Where its container is: the four names that many operations of the SDK begin with. */
  get container(): [string, string, string, string] {
    const { fabricName, containerName } = this.appliance.registration;
    return [vaultName, this.group, fabricName, containerName];
  }

  /** ARM id of something below the vault. */
  id(path: string): string {
    return `${this.platform.vaultId(vaultName)}/${path}`;
  }

  itemId(itemName: string): string {
    const { fabricName, containerName } = this.appliance.registration;
    return this.id(
      `replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}/replicationProtectedItems/${itemName}`,
    );
  }

  async createPolicy(recoveryPointHistory = 4_320): Promise<void> {
    const input = {
      instanceType: 'InMageAzureV2' as const,
      recoveryPointThresholdInMinutes: 60,
      recoveryPointHistory,
      appConsistentFrequencyInMinutes: 60,
      crashConsistentFrequencyInMinutes: 5,
      multiVmSyncStatus: 'Enable' as const,
    };
    const body = { properties: { providerSpecificInput: input } };
    await this.client.replicationPolicies.beginCreateAndWait(vaultName, this.group, policyName, body, quick);
  }

  associate(name: string) {
    const body = {
      properties: {
        policyId: this.id(`replicationPolicies/${policyName}`),
        targetProtectionContainerId: 'Microsoft Azure',
      },
    };
    const { replicationProtectionContainerMappings: mappings } = this.client;
    return mappings.beginCreateAndWait(...this.container, name, body, quick);
  }

  machines() {
    const { replicationProtectableItems: items } = this.client;
    return listAll(items.listByReplicationProtectionContainers(...this.container));
  }

  async machine(name: string) {
    return (await this.machines()).find(({ properties }) => properties?.friendlyName === name);
  }

  async enableBody(machine: string, changes: Record<string, unknown> = {}): Promise<EnableBody> {
    const { fabricName, containerName, applianceId } = this.appliance.registration;
    const nobody = `replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}/replicationProtectableItems/${randomUUID()}`;
    return {
      properties: {
        policyId: this.id(`replicationPolicies/${policyName}`),
        protectableItemId: (await this.machine(machine))?.id ?? this.id(nobody),
        providerSpecificDetails: {
          instanceType: 'InMageAzureV2',
          processServerId: applianceId,
          targetAzureVmName: machine,
          ...changes,
        } as EnableBody['properties']['providerSpecificDetails'],
      },
    };
  }

  /** Enables replication and waits for the job. */
  async enable(machine: string): Promise<ReplicationProtectedItem> {
    const body = await this.enableBody(machine);
    return this.client.replicationProtectedItems.beginCreateAndWait(...this.container, machine, body, quick);
  }

  /** Asks to enable replication and does not wait. */
  put(itemName: string, body: unknown, role: 'contributor' | 'reader' = 'contributor') {
    return this.platform.request('PUT', this.itemId(itemName), { body, role });
  }

  item(name: string): Promise<ReplicationProtectedItem> {
    return this.client.replicationProtectedItems.get(...this.container, name);
  }

  points(name: string) {
    return listAll(this.client.recoveryPoints.listByReplicationProtectedItems(...this.container, name));
  }

  async replicaLog(name: string) {
    const { body } = await this.platform.request(
      'GET',
      this.id(`secondsite/protectedItems/${name}/replicaLog`),
    );
    return body as { protectedItemId: string; containerName: string; points: Record<string, unknown>[] };
  }

  /** Enables replication of a machine and waits until it is protected. */
  async protect(machine: string): Promise<string> {
    await this.enable(machine);
    const { protectedItemId } = await this.replicaLog(machine);
    await this.replication.replicas.get(protectedItemId)?.point();
    await this.becomesProtected(machine);
    return protectedItemId;
  }

  async becomesProtected(itemName: string): Promise<void> {
    await vi.waitUntil(
      async () => (await this.item(itemName)).properties?.protectionState === 'Protected',
      soon,
    );
  }

  async jobsOf(scenario: string, target: string): Promise<Job[]> {
    const jobs = await listAll(this.client.replicationJobs.list(vaultName, this.group));
    return jobs.filter(
      ({ properties }) => properties?.scenarioName === scenario && properties.targetObjectName === target,
    );
  }

  /** The newest such job, with its tasks. */
  async job(scenario: string, target: string): Promise<Job> {
    const [first] = await this.jobsOf(scenario, target);
    return this.client.replicationJobs.get(vaultName, this.group, first?.name ?? '');
  }

  async jobEnds(scenario: string, target: string): Promise<Job> {
    return vi.waitUntil(async () => {
      const found = await this.job(scenario, target);
      return found.properties?.endTime === undefined ? undefined : found;
    }, soon);
  }

  /** Rows, blobs, grants and claims that are left of an item; its jobs may be. */
  async leftOf(machine: string, protectedItemId: string): Promise<string[]> {
    const { storageConnectionString } = this.platform.platform.config;
    const blobs = BlobServiceClient.fromConnectionString(storageConnectionString);
    const { replicas } = await this.appliance.tokens();
    const found = await this.machine(machine);
    const traces = {
      item: await this.hasItem(machine),
      container: await blobs.getContainerClient(`replica-${protectedItemId}`).exists(),
      claim: found?.properties?.protectionStatus !== 'Unprotected',
      grant: replicas.some((replica) => replica.protectedItemId === protectedItemId),
    };
    const names = Object.entries(traces).flatMap(([name, isThere]) => (isThere ? [name] : []));
    const rows = (await this.rows(/^secondsite$/u)).filter((row) => row.includes(protectedItemId));
    return [...names, ...rows.filter((row) => !/"rowKey":"(?:replicationjobs|commandresults)!/u.test(row))];
  }

  /** Whether a machine was left alone: no item, no job. */
  async isUntouched(machine: string): Promise<boolean> {
    return !(await this.hasItem(machine)) && (await this.jobsOf('EnableDr', machine)).length === 0;
  }

  async hasItem(itemName: string): Promise<boolean> {
    return (await this.platform.request('GET', this.itemId(itemName))).status !== 404;
  }

  /** All rows of the tables whose name fits, as text. */
  async rows(tables: RegExp): Promise<string[]> {
    const { storageConnectionString } = this.platform.platform.config;
    const plain = { allowInsecureConnection: true };
    const rows: string[] = [];
    const service = TableServiceClient.fromConnectionString(storageConnectionString, plain);
    for await (const { name = '' } of service.listTables()) {
      if (!tables.test(name)) continue;
      const table = TableClient.fromConnectionString(storageConnectionString, name, plain);
      for await (const row of table.listEntities()) rows.push(JSON.stringify(row));
    }
    return rows;
  }
}
