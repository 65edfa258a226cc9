import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { type Mapping } from '../../shared/policy/mapping.ts';
import { createMapping, findPolicyMapping, listMappings } from '../../shared/policy/mapping-store.ts';
import { type Policy } from '../../shared/policy/policy.ts';
import { createPolicy, getPolicy, listPolicies } from '../../shared/policy/policy-store.ts';
import { Table } from '../../shared/store/table.ts';

const gold: Policy = {
  name: 'gold',
  policyId: randomUUID(),
  instanceType: 'InMageAzureV2',
  recoveryPointThresholdInMinutes: 60,
  recoveryPointHistory: 1_440,
  crashConsistentFrequencyInMinutes: 5,
  appConsistentFrequencyInMinutes: 60,
  multiVmSyncStatus: 'Enabled',
  automatic: false,
  createdAtMs: 1,
};

describe('policies in their rows', () => {
  let folder: string;
  let storage: Storage;
  let table: Table;
  let vaults = 0;
  const freshVault = () => ({ subscriptionId: 's', resourceGroup: 'g', vaultName: `v${(vaults += 1)}` });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-policies-'));
    storage = await startStorage({ dataFolder: folder });
    table = new Table(storage.connectionString, 'secondsite');
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('are the same after they were created twice', async () => {
    const vault = freshVault();
    const twinId = randomUUID();
    await createPolicy(table, vault, { policy: gold, twinId });
    const once = await listPolicies(table, vault);
    await createPolicy(table, vault, { policy: { ...gold, policyId: randomUUID() }, twinId: randomUUID() });
    expect(await listPolicies(table, vault)).toEqual(once);
    expect(once.map(({ policyId }) => policyId)).toEqual([gold.policyId, twinId]);
  });

  it('keep the twin that somebody made himself', async () => {
    const vault = freshVault();
    const own: Policy = { ...gold, name: 'gold-failback', instanceType: 'InMage', recoveryPointHistory: 60 };
    await createPolicy(table, vault, { policy: own, twinId: randomUUID() });
    await createPolicy(table, vault, { policy: gold, twinId: randomUUID() });
    expect(await getPolicy(table, vault, 'gold-failback')).toEqual(own);
  });

  const container = { fabricName: 'f', containerName: 'cloud_1' };
  const map: Mapping = {
    ...container,
    name: 'map',
    policyName: 'gold',
    direction: 'toAzure',
    automatic: false,
    createdAtMs: 1,
  };

  it('are mapped once, however many ask at the same time', async () => {
    const vault = freshVault();
    const names = ['one', 'two', 'three', 'four'];
    const outcomes = await Promise.allSettled(
      names.map((name) => createMapping(table, vault, { ...map, name })),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const mappings = await listMappings(table, vault, container);
    expect(mappings.map(({ policyName }) => policyName)).toEqual(['gold', 'gold-failback']);
    const found = await findPolicyMapping(table, vault, { container, policyName: 'GOLD' });
    expect(names).toContain(found?.name);
  });

  it('are the same after they were mapped twice', async () => {
    const vault = freshVault();
    await createMapping(table, vault, map);
    const once = await listMappings(table, vault);
    await createMapping(table, vault, { ...map, createdAtMs: 2 });
    expect(await listMappings(table, vault)).toEqual(once);
  });

  it('let an own failback mapping take the place of the automatic one', async () => {
    const vault = freshVault();
    await createMapping(table, vault, map);
    const back: Mapping = { ...map, name: 'reverse', policyName: 'gold-failback', direction: 'toSite' };
    await createMapping(table, vault, back);
    expect((await listMappings(table, vault)).map(({ name }) => name)).toEqual(['map', 'reverse']);
    await createMapping(table, vault, map);
    expect((await listMappings(table, vault)).map(({ name }) => name)).toEqual(['map', 'reverse']);
  });

  it('do not share a mapping’s name', async () => {
    const vault = freshVault();
    await createMapping(table, vault, map);
    const other = { ...map, policyName: 'silver' };
    await expect(createMapping(table, vault, other)).rejects.toMatchObject({ fault: { code: 'Conflict' } });
  });
});
