import { setTimeout as delay } from 'node:timers/promises';
import type {
  InMageAzureV2ReplicationDetails,
  ProtectableItem,
  ReplicationProtectedItem,
  VMwareVirtualMachineDetails,
} from '@azure/arm-recoveryservices-siterecovery';
import { z } from 'zod';
import { MiB } from '../../shared/bytes.ts';
import { type Arm, jobCatcher, taskTeller } from './arm.ts';
import { describeBytes, type Reporter } from './reporter.ts';
import type { Site, SiteMachine } from './site.ts';

const policyName = 'VMwareRepPolicy';
const mappingName = 'VMwareRepPolicy-mapping';
const vCenterName = 'contoso-vcenter';
const pollMs = 300;
const waitMs = 60_000;
const fast = { updateIntervalInMs: 300 };

/** When an initial replication began and when its recovery point was there. */
interface CopyTimes {
  startedAtMs: number;
  endedAtMs: number;
}

interface CopySample {
  bytes: number;
  seconds: number;
}

/** Where the configuration server's machines are, in the vault. */
interface Place {
  fabric: string;
  container: string;
}

/** The tutorial's road from an empty vault to a protected machine, one method a station. */
export class Road {
  readonly #arm: Arm;
  readonly #reporter: Reporter;
  readonly #site: Site;
  #place: Place = { fabric: '', container: '' };
  /** The initial replication, watched while the job that started it still runs. */
  readonly #copy: { done: Promise<CopyTimes>; onSample: (sample: CopySample) => void } = {
    done: Promise.reject(new Error('Replication was not enabled.')),
    onSample: () => {},
  };

  constructor(arm: Arm, reporter: Reporter, site: Site) {
    this.#arm = arm;
    this.#reporter = reporter;
    this.#site = site;
    this.#copy.done.catch(() => {}); // told by the step that waits for it
  }

  async makeVault(): Promise<void> {
    const { vaults, vault, vaultName, config } = this.#arm;
    await this.#reporter.step('Vault', async () => {
      const made = await vaults.vaults.createOrUpdate(config.resourceGroup, vaultName, {
        location: 'eastus',
        sku: { name: 'Standard' },
        properties: {},
      });
      return {
        said: `${made.name} in ${vault[1]}, ${made.location}`,
        figures: { id: made.id },
        result: undefined,
      };
    });
  }

  async getRegistrationKey(): Promise<unknown> {
    return this.#reporter.step('Registration key', async () => {
      const { body } = await this.#arm.call('POST', 'registrationKeys', {});
      const { expiresAt } = z.object({ expiresAt: z.string() }).parse(body);
      return {
        said: `signed by the vault, one use, valid until ${expiresAt}`,
        figures: { expiresAt },
        result: body,
      };
    });
  }

  /** The vault has heard of the configuration server: its fabric and container are there. */
  async awaitConfigurationServer(applianceId: string): Promise<void> {
    const { siteRecovery, vault } = this.#arm;
    const container = `cloud_${applianceId}`;
    const found = await until(`the configuration server ${applianceId} in the vault`, async () => {
      for await (const candidate of siteRecovery.replicationProtectionContainers.list(...vault)) {
        if (candidate.name === container) return candidate.id;
      }
      return undefined;
    });
    this.#place = { fabric: /replicationFabrics\/([^/]+)/iu.exec(found)?.[1] ?? '', container };
  }

  async addVCenter(applianceId: string, port: number, accountId: string): Promise<void> {
    const { siteRecovery, vault } = this.#arm;
    await this.#reporter.step('vCenter', async () => {
      const { fabric } = this.#place;
      const properties = {
        friendlyName: vCenterName,
        ipAddress: '127.0.0.1',
        port: String(port),
        processServerId: applianceId,
        runAsAccountId: accountId,
      };
      await siteRecovery.replicationvCenters.beginCreateAndWait(
        ...vault,
        fabric,
        vCenterName,
        { properties },
        fast,
      );
      return {
        said: `${vCenterName} at 127.0.0.1:${port}, account '${this.#site.account.name}'`,
        result: undefined,
      };
    });
  }

  async discover(applianceId: string): Promise<ProtectableItem[]> {
    const { siteRecovery, vault } = this.#arm;
    return this.#reporter.step('Discovery', async () => {
      const { fabric, container } = this.#place;
      await siteRecovery.replicationRecoveryServicesProviders.beginRefreshProviderAndWait(
        ...vault,
        fabric,
        applianceId,
        fast,
      );
      const items: ProtectableItem[] = [];
      const listed = siteRecovery.replicationProtectableItems.listByReplicationProtectionContainers(
        ...vault,
        fabric,
        container,
      );
      for await (const item of listed) items.push(item);
      const words = items.map(describeMachine);
      return {
        said: `${items.length} machines: ${words.join(', ')}`,
        figures: { machines: words },
        result: items,
      };
    });
  }

  async checkTarget(): Promise<{ storageAccountId: string; networkId: string }> {
    const { subscriptionId, resourceGroup } = this.#arm.config;
    return this.#reporter.step('Target', async () => {
      const base = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers`;
      const storageAccountId = `${base}/Microsoft.Storage/storageAccounts/contosovmreplica`;
      const networkId = `${base}/Microsoft.Network/virtualNetworks/ContosoVNet`;
      const query = new URLSearchParams({
        storageAccountId,
        virtualNetworkId: networkId,
        subnetName: 'default',
      });
      const { body } = await this.#arm.call('GET', `targetEnvironment?${query.toString()}`);
      const shape = z.object({
        compatible: z.boolean(),
        checks: z.array(z.object({ name: z.string(), outcome: z.string() })),
      });
      const { compatible, checks } = shape.parse(body);
      if (!compatible) throw new Error(`The target is not compatible: ${JSON.stringify(checks)}`);
      return {
        said: `storage account contosovmreplica and network ContosoVNet are compatible (${checks.length} checks)`,
        figures: { checks },
        result: { storageAccountId, networkId },
      };
    });
  }

  async makePolicy(): Promise<void> {
    const { siteRecovery, vault, vaultId } = this.#arm;
    await this.#reporter.step('Replication policy', async () => {
      await siteRecovery.replicationPolicies.beginCreateAndWait(
        ...vault,
        policyName,
        {
          properties: {
            providerSpecificInput: {
              instanceType: 'InMageAzureV2',
              recoveryPointThresholdInMinutes: 60,
              recoveryPointHistory: 72 * 60,
              crashConsistentFrequencyInMinutes: 5,
              appConsistentFrequencyInMinutes: 60,
              multiVmSyncStatus: 'Enable',
            },
          },
        },
        fast,
      );
      const { fabric, container } = this.#place;
      await siteRecovery.replicationProtectionContainerMappings.beginCreateAndWait(
        ...vault,
        fabric,
        container,
        mappingName,
        {
          properties: {
            policyId: `${vaultId}/replicationPolicies/${policyName}`,
            targetProtectionContainerId: 'Microsoft Azure',
            providerSpecificInput: { instanceType: 'InMageAzureV2' } as never, // the SDK has no subtype for it
          },
        },
        fast,
      );
      const names: string[] = [];
      for await (const policy of siteRecovery.replicationPolicies.list(...vault))
        names.push(policy.name ?? '');
      const rules = 'RPO threshold 60 min, retention 72 h, app-consistent every 60 min';
      return {
        said: `${names.join(' and ')}: ${rules}; associated`,
        figures: { policies: names },
        result: undefined,
      };
    });
  }

  /** Enables replication; `startAgent` is called once the job waits for the mobility agent. */
  async protect(
    machine: SiteMachine,
    item: ProtectableItem,
    parts: {
      applianceId: string;
      storageAccountId: string;
      networkId: string;
      startAgent: () => Promise<void>;
    },
  ): Promise<void> {
    const { siteRecovery, vault, vaultId } = this.#arm;
    const { fabric, container } = this.#place;
    await this.#reporter.step('Enable replication', async (progress) => {
      const job = jobCatcher();
      const { subscriptionId, resourceGroup } = this.#arm.config;
      await siteRecovery.replicationProtectedItems.beginCreate(
        ...vault,
        fabric,
        container,
        machine.name,
        {
          properties: {
            policyId: `${vaultId}/replicationPolicies/${policyName}`,
            protectableItemId: item.id ?? '',
            providerSpecificDetails: {
              instanceType: 'InMageAzureV2',
              masterTargetId: parts.applianceId,
              processServerId: parts.applianceId,
              logStorageAccountId: parts.storageAccountId,
              targetAzureNetworkId: parts.networkId,
              targetAzureSubnetId: 'default',
              targetAzureVmName: machine.name,
              targetAzureV2ResourceGroupId: `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}`,
              enableRdpOnTargetOption: 'Never',
            },
          },
        },
        { ...fast, onResponse: job.onResponse },
      );
      const agent = parts.startAgent();
      const tell = taskTeller(({ name, friendlyName, state }) => {
        if (name === 'EnableProtection' && state === 'Succeeded') this.#watchCopy(machine);
        progress(`${friendlyName}: ${state}`);
        if (state !== 'InProgress')
          this.#reporter.say(`      ${friendlyName}: ${state}`, { task: friendlyName, state });
      });
      await Promise.all([this.#arm.followJob(job.jobId(), tell), agent]);
      return {
        said: `${machine.name} replicates (job ${job.jobId()})`,
        figures: { job: job.jobId() },
        result: undefined,
      };
    });
  }

  #watchCopy(machine: SiteMachine): void {
    this.#copy.done = this.#sampleCopy(machine);
    this.#copy.done.catch(() => {}); // told by the step that waits for it
  }

  /** Shows the initial replication, which `protect` has been watching since it could begin, until its point is there. */
  async watchInitialReplication(machine: SiteMachine): Promise<void> {
    await this.#reporter.step('Initial replication', async (progress) => {
      this.#copy.onSample = (sample) => progress(describeProgress(sample, machine.sizeBytes));
      const { startedAtMs, endedAtMs } = await this.#copy.done;
      const [first] = (await this.points(machine)).toSorted((one, other) => one.sequence - other.sequence);
      const uploadedBytes = first?.uploadedBytes ?? 0;
      const seconds = Math.max(0.001, (endedAtMs - startedAtMs) / 1_000);
      const rate = machine.sizeBytes / MiB / seconds;
      return {
        said: `${describeBytes(machine.sizeBytes)} of disk in ${seconds.toFixed(1)} s (${rate.toFixed(0)} MiB/s), ${describeBytes(uploadedBytes)} uploaded`,
        figures: {
          diskBytes: machine.sizeBytes,
          uploadedBytes,
          replicationSeconds: seconds,
          mebibytesPerSecond: rate,
        },
        result: undefined,
      };
    });
  }

  /** Looks at the item until its first recovery point is there. */
  async #sampleCopy(machine: SiteMachine): Promise<CopyTimes> {
    let startedAtMs = Date.now();
    return until('the first recovery point', async () => {
      const { details } = await this.item(machine);
      const disks = details.protectedDisks ?? [];
      const started = Math.min(...disks.map(({ resyncStartTime }) => resyncStartTime?.getTime() ?? Infinity));
      if (started > 0 && started < Infinity) startedAtMs = started;
      this.#copy.onSample({
        bytes: sum(disks.map((disk) => disk.resyncProcessedBytes)),
        seconds: (Date.now() - startedAtMs) / 1_000,
      });
      // null until there is one
      return details.lastRecoveryPointReceived ? { startedAtMs, endedAtMs: Date.now() } : undefined;
    });
  }

  async watchFinalize(machine: SiteMachine): Promise<void> {
    const { siteRecovery, vault } = this.#arm;
    await this.#reporter.step('Finalize protection', async () => {
      const jobId = await until('the job Finalize protection', async () => {
        for await (const job of siteRecovery.replicationJobs.list(...vault)) {
          if (job.properties?.scenarioName === 'IrCompletion') return job.name;
        }
        return undefined;
      });
      const tell = taskTeller(({ friendlyName, state }) => {
        if (state !== 'InProgress')
          this.#reporter.say(`      ${friendlyName}: ${state}`, { task: friendlyName, state });
      });
      const job = await this.#arm.followJob(jobId, tell);
      const { item, details } = await this.item(machine);
      const { protectionState, replicationHealth } = item.properties ?? {};
      if (protectionState !== 'Protected') throw new Error(`The item is ${protectionState}, not Protected.`);
      return {
        said: `${job.properties?.friendlyName}: ${machine.name} is ${protectionState}, health ${replicationHealth}, RPO ${details.rpoInSeconds} s`,
        figures: { protectionState, replicationHealth, rpoSeconds: details.rpoInSeconds },
        result: undefined,
      };
    });
  }

  /** Asks for a point now. @returns when it is listed */
  async makePoint(machine: SiteMachine): Promise<PointRow> {
    const before = (await this.points(machine)).length;
    const { item } = await this.item(machine);
    const { jobId } = await this.#arm.call('POST', 'recoveryPoints', {
      properties: { protectedItemId: item.id },
    });
    if (jobId === undefined) throw new Error('Making a point told no job.');
    await this.#arm.followJob(jobId);
    return until('the new recovery point', async () => {
      const points = await this.points(machine);
      return points.length > before ? points.toSorted((a, b) => b.sequence - a.sequence)[0] : undefined;
    });
  }

  async item(
    machine: SiteMachine,
  ): Promise<{ item: ReplicationProtectedItem; details: InMageAzureV2ReplicationDetails }> {
    const { siteRecovery, vault } = this.#arm;
    const { fabric, container } = this.#place;
    const item = await siteRecovery.replicationProtectedItems.get(...vault, fabric, container, machine.name);
    const details = item.properties?.providerSpecificDetails;
    if (details?.instanceType !== 'InMageAzureV2')
      throw new Error(`${machine.name} is not replicated to Azure.`);
    return { item, details: details as InMageAzureV2ReplicationDetails }; // told apart by instanceType
  }

  /** The points with what each cost; none before the first. */
  async points(machine: SiteMachine): Promise<PointRow[]> {
    return ReplicaLogAnswer.pick({ points: true }).parse(await this.#readReplicaLog(machine)).points;
  }

  /** Where the log lies and how far it goes, once it has a point. */
  async replicaLog(machine: SiteMachine): Promise<z.infer<typeof ReplicaLogAnswer>> {
    return ReplicaLogAnswer.parse(await this.#readReplicaLog(machine));
  }

  async #readReplicaLog(machine: SiteMachine): Promise<unknown> {
    const path = `protectedItems/${encodeURIComponent(machine.name)}/replicaLog`;
    return (await this.#arm.call('GET', path)).body;
  }
}

const PointRow = z.object({
  name: z.string(),
  sequence: z.number(),
  time: z.string(),
  consistency: z.string(),
  hash: z.string(),
  changedBytes: z.number(),
  uploadedBytes: z.number(),
});
type PointRow = z.infer<typeof PointRow>;

const ReplicaLogAnswer = z.object({
  containerName: z.string(),
  anchor: z.object({ sequence: z.number(), hash: z.string() }),
  points: z.array(PointRow),
});

function describeMachine(item: ProtectableItem): string {
  const details = item.properties?.customDetails as VMwareVirtualMachineDetails | undefined; // the only kind here
  const disks = details?.diskDetails?.map(({ diskSizeInMB }) => `${diskSizeInMB} MB`) ?? [];
  return `${item.properties?.friendlyName} (${details?.osType}, ${details?.poweredOn}, ${disks.join(' + ')})`;
}

function describeProgress({ bytes, seconds }: CopySample, total: number): string {
  const rate = seconds > 0 ? bytes / seconds : 0;
  const left = rate > 0 ? `, ${Math.ceil((total - bytes) / rate)} s left` : '';
  return `${describeBytes(bytes)} of ${describeBytes(total)}, ${(rate / MiB).toFixed(1)} MiB/s${left}`;
}

function sum(numbers: (number | undefined)[] | undefined): number {
  return (numbers ?? []).reduce<number>((total, number) => total + (number ?? 0), 0);
}

/** Looks again until there is something. @throws Error after a minute */
async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadlineMs = Date.now() + waitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadlineMs) throw new Error(`Gave up waiting for ${what} after ${waitMs / 1_000} s.`);
    await delay(pollMs);
  }
}
