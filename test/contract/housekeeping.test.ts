import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlobServiceClient } from '@azure/storage-blob';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { listAuditEvents, recordAuditEvent } from '../../shared/audit/audit-event.ts';
import { findCommandResult, keepCommandResult } from '../../shared/command/command-result.ts';
import { findEvents, recordEvent } from '../../shared/event/event-store.ts';
import { claimCheckContainer } from '../../shared/fabric/appliance-token.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { changeJob, ensureJob, listJobs } from '../../shared/job/job-store.ts';
import { endJob } from '../../shared/job/job.ts';
import { listAll } from '../integration/platform.ts';
import { Table } from '../../shared/store/table.ts';
import { tidyClaimChecks, tidyVault } from '../../shared/vault/housekeeping.ts';
import { allVaults } from '../../shared/vault/vault-index.ts';
import { replicationUsages } from '../../shared/vault/vault-summary.ts';
import { VaultStore } from '../../shared/vault/vault.ts';

const dayMs = 86_400_000;
const applianceId = '00000000-0000-4000-8000-000000000001';

describe('housekeeping', () => {
  let folder: string;
  let storage: Storage;
  let table: Table;
  let count = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-housekeeping-'));
    storage = await startStorage({ dataFolder: folder });
    table = new Table(storage.connectionString, 'secondsite');
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function freshVault() {
    count += 1;
    const vault = { subscriptionId: 's', resourceGroup: 'g', vaultName: `vault${count}` };
    await new VaultStore(table).insert({
      ...vault,
      location: 'eastus',
      tags: {},
      sku: { name: 'Standard' },
      publicNetworkAccess: 'Enabled',
      createdAtMs: 0,
    });
    return vault;
  }

  async function startJob(
    vault: Awaited<ReturnType<typeof freshVault>>,
    startedAtMs: number,
  ): Promise<string> {
    const jobId = jobIdAt(startedAtMs);
    const target = { id: 't', name: 'n' };
    const rest = { target, resource: [], affected: {}, activityId: 'a', startedAtMs };
    await ensureJob(table, vault, { jobId, scenario: 'RefreshFabricLayout', ...rest });
    return jobId;
  }

  it('keeps jobs for seven days after they ended, and those that run for ever', async () => {
    const vault = await freshVault();
    const nowMs = Date.UTC(2026, 5, 1);
    const ended = [9, 8, 6].map(async (days) => {
      const jobId = await startJob(vault, nowMs - days * dayMs);
      const endedAtMs = nowMs - (days - 0.5) * dayMs;
      await changeJob(table, { vault, jobId }, (job) => endJob(job, { state: 'Succeeded' }, endedAtMs));
    });
    await Promise.all(ended);
    const running = await startJob(vault, nowMs - 30 * dayMs);
    await tidyVault(table, vault, nowMs);
    const { rows } = await listJobs(table, vault);
    expect(rows.map(({ value }) => [value.state, (nowMs - value.startedAtMs) / dayMs])).toEqual([
      ['Succeeded', 6],
      ['InProgress', 30],
    ]);
    expect(rows.at(-1)?.value.jobId).toBe(running);
  });

  it('keeps events for 90 days', async () => {
    const vault = await freshVault();
    const nowMs = Date.UTC(2026, 5, 1);
    for (const days of [1, 89, 91, 200]) {
      await recordEvent(table, vault, {
        eventId: '00000000-0000-4000-8000-000000000002',
        atMs: nowMs - days * dayMs,
        code: 'ServerHealthChanged',
        type: 'ServerHealth',
        severity: 'Warning',
        description: '',
        affected: { id: applianceId, name: 'ContosoCS' },
        healthErrors: [],
      });
    }
    await tidyVault(table, vault, nowMs);
    const { events } = await findEvents(table, vault, { filter: new Map() });
    expect(events.map(({ atMs }) => (nowMs - atMs) / dayMs)).toEqual([1, 89]);
    const [summary] = await replicationUsages(table, vault, nowMs);
    expect(summary?.monitoringSummary.eventsCount).toBe(1);
  });

  it('keeps answers of appliances as long as somebody may wait for them', async () => {
    const vault = await freshVault();
    const from = { vault, applianceId };
    await keepCommandResult(table, from, { commandId: 'a:b', outcome: 'succeeded' });
    await tidyVault(table, vault, Date.now() + 7 * dayMs);
    expect(await findCommandResult(table, from, 'a:b')).toBeDefined();
    await tidyVault(table, vault, Date.now() + 9 * dayMs);
    expect(await findCommandResult(table, from, 'a:b')).toBeUndefined();
  });

  it('keeps audit rows for 90 days, also of a vault that is gone, and then forgets that there was one', async () => {
    const vault = await freshVault();
    const row = { callerObjectId: '', callerTenantId: '', callerName: '', action: '', method: 'PUT' };
    const nowMs = Date.UTC(2026, 5, 1);
    for (const days of [1, 91]) {
      const atMs = nowMs - days * dayMs;
      await recordAuditEvent(table, vault, { ...row, path: '', status: 200, correlationId: '', atMs });
    }
    await new VaultStore(table).delete(vault);
    await tidyVault(table, vault, nowMs);
    const { rows } = await listAuditEvents(table, vault, { most: 10, continuation: undefined });
    expect(rows.map(({ value }) => value.atMs)).toEqual([nowMs - dayMs]);
    const names = async () => (await listAll(allVaults(table))).map(({ vaultName }) => vaultName);
    expect(await names()).toContain(vault.vaultName);
    await tidyVault(table, vault, nowMs + 100 * dayMs);
    expect(await names()).not.toContain(vault.vaultName);
  });

  it('deletes claim checks that no message can mean any more', async () => {
    const blobs = BlobServiceClient.fromConnectionString(storage.connectionString);
    await tidyClaimChecks(blobs, Date.now());
    const container = blobs.getContainerClient(claimCheckContainer);
    await container.create();
    await container.getBlockBlobClient('a/b').upload('x', 1);
    const names = async () => (await listAll(container.listBlobsFlat())).map(({ name }) => name);
    await tidyClaimChecks(blobs, Date.now() + 13 * dayMs);
    expect(await names()).toEqual(['a/b']);
    await tidyClaimChecks(blobs, Date.now() + 15 * dayMs);
    expect(await names()).toEqual([]);
  });
});
