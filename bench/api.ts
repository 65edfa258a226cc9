/**
 * The control plane on the local platform, as ratios to bare table operations in the same run; and how many check-ins
 * it takes in. Everything goes the true way: https, bearer tokens, signed messages, the built function app.
 */
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, createServer, request as httpRequest } from 'node:http';
import { Agent, get as httpsGet } from 'node:https';
import { type AddressInfo } from 'node:net';
import { brotliDecompressSync } from 'node:zlib';
import { ServiceBusClient } from '@azure/service-bus';
import { ensureApplianceItem } from '../shared/fabric/appliance-item.ts';
import { ApplianceCache, openCheckIn } from '../shared/fabric/check-in.ts';
import { type VaultRef } from '../shared/arm/resource-id.ts';
import { createPolicy } from '../shared/policy/policy-store.ts';
import { createMapping } from '../shared/policy/mapping-store.ts';
import { requestOfTest } from '../shared/protection/item-of-test.ts';
import { planEnable } from '../shared/protection/plan-enable.ts';
import { ProgressKeeper } from '../shared/protection/apply-progress.ts';
import { itemRef, listItemRows } from '../shared/protection/item-row.ts';
import { insertItem } from '../shared/protection/protected-item-store.ts';
import { type ProtectedItem } from '../shared/protection/protected-item.ts';
import { moveAnchor } from '../shared/recovery/recovery-point-store.ts';
import { rowKey, rowsBelow, vaultPartition } from '../shared/store/row-key.ts';
import { Table } from '../shared/store/table.ts';
import { type CheckInBody } from '../shared/wire/check-in.ts';
import { type TestPlatform, startTestPlatform } from '../test/integration/platform.ts';
import {
  TestAppliance,
  discoveredMachine,
  discovery,
  heartbeat,
  sign,
} from '../test/integration/test-appliance.ts';
import { TestReplication } from '../test/integration/test-replication.ts';

const itemCount = 1_000;
const gets = 2_000;
const inFlight = 32;
const lists = 5;
const checkInSeconds = 60;
const checkInsASecond = 550;
const enabledAtOnce = 200;
const vaultName = 'ContosoVMVault';
const enableVaultName = 'ContosoEnable';

type Bench = {
  platform: TestPlatform;
  table: Table;
  connectionString: string;
  token: string;
  vault: VaultRef;
};

/** Runs it and prints a table, or with `json` one object. @returns the exit code */
export async function benchApi({ json }: { json: boolean }): Promise<number> {
  const platform = await startTestPlatform();
  try {
    const { storageConnectionString: connectionString } = platform.platform.config;
    const { token } = (await platform.credential('contributor').getToken('')) ?? { token: '' };
    const { subscriptionId, resourceGroup } = platform;
    const vault = { subscriptionId, resourceGroup, vaultName };
    const bench = {
      platform,
      connectionString,
      token,
      vault,
      table: new Table(connectionString, 'secondsite'),
    };
    for (const name of [vaultName, enableVaultName]) {
      await platform.vaults().vaults.createOrUpdate(resourceGroup, name, { location: 'eastus' });
    }
    const appliance = await TestAppliance.register(platform, vaultName);
    const items = await seedItems(bench, appliance);
    const reads = await benchReads(bench, items);
    process.stderr.write(inWords(reads));
    const checkIns = await benchCheckIns(bench, appliance, items);
    process.stderr.write(inWords(checkIns));
    const result = { ...reads, ...checkIns, ...(await benchEnable(bench)) };
    await appliance.close();
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : inWords(result));
    return 0;
  } finally {
    agent.destroy();
    await platform.close();
  }
}

/** Protected items with a point each, written as the jobs write them. */
async function seedItems({ table, vault }: Bench, appliance: TestAppliance): Promise<ProtectedItem[]> {
  const { fabricName, containerName, applianceId } = appliance.registration;
  await appliance.checkIn(heartbeat());
  const items = Array.from({ length: itemCount }, (_, at) => {
    const jobId = randomUUID();
    const planned = planEnable(
      {
        ...requestOfTest,
        names: { fabricName, containerName, itemName: `web-${at}` },
        applianceId,
        input: { ...requestOfTest.input, processServerId: applianceId },
      },
      { protectedItemId: randomUUID(), jobId, atMs: Date.now() },
    );
    const { currentJob: _enabling, ...item } = planned;
    return { ...item, state: 'Protected' as const, protectedAtMs: Date.now() };
  });
  await inParallel(items, 16, async (item) => {
    await insertItem(table, vault, item);
    const newest = { name: randomUUID(), sequence: 1, timeMs: Date.now() };
    const to = { sequence: 1, hash: 'a'.repeat(64), newest, firstPointAtMs: newest.timeMs };
    await moveAnchor(table, itemRef(vault, item), { points: [], from: undefined, to });
    await ensureApplianceItem(table, { vault, applianceId }, item);
  });
  const progress = new ProgressKeeper(table);
  for (let from = 0; from < items.length; from += 100) {
    await progress.apply(
      { vault, applianceId },
      {
        order: { epoch: 1, sequence: from + 1 },
        sentAtMs: Date.now(),
        items: items.slice(from, from + 100).map((item) => progressOf(item)),
      },
    );
  }
  return items;
}

async function benchReads(bench: Bench, items: readonly ProtectedItem[]) {
  const { platform, table, vault } = bench;
  const [first] = items;
  if (first === undefined) throw new Error('no items');
  const below = `replicationFabrics/${first.fabricName}/replicationProtectionContainers/${first.containerName}/replicationProtectedItems`;
  const base = `${platform.vaultId(vault.vaultName)}/${below}`;
  const keyOf = (item: ProtectedItem) =>
    rowKey(
      vaultPartition(vault),
      'replicationProtectedItems',
      item.fabricName,
      item.containerName,
      item.itemName,
    );
  const pick = Array.from({ length: gets }, (_, at) => items[(at * 7) % items.length] ?? first);
  const point = (item: ProtectedItem) => table.find(keyOf(item));
  const get = (item: ProtectedItem) => ask(bench, `${base}/${item.itemName}`);
  await inParallel(pick.slice(0, 200), inFlight, point);
  await inParallel(pick.slice(0, 200), inFlight, get);
  const pointMs = await timed(() => inParallel(pick, inFlight, point));
  const getMs = await timed(() => inParallel(pick, inFlight, get));
  const range = rowsBelow(vaultPartition(vault), 'replicationProtectedItems');
  const rounds = Array.from({ length: lists }, (_, at) => at);
  const query = async () => {
    const { entities } = await table.page(range);
    if (entities.length !== itemCount) throw new Error(`a query of ${entities.length} rows`);
  };
  const list = async () => {
    const { value } = (await ask(bench, base)) as { value: unknown[] };
    if (value.length !== itemCount) throw new Error(`a list of ${value.length} items`);
  };
  await query();
  await list();
  const queryMs = await timed(() => inParallel(rounds, 1, query));
  const listMs = await timed(() => inParallel(rounds, 1, list));
  return {
    point_read_ms: round2(pointMs / gets),
    get_ms: round2(getMs / gets),
    get_vs_point_read: round2(getMs / pointMs),
    query_1000_ms: round2(queryMs / lists),
    list_1000_ms: round2(listMs / lists),
    list_vs_query: round2(listMs / queryMs),
  };
}

async function benchCheckIns(bench: Bench, appliance: TestAppliance, items: readonly ProtectedItem[]) {
  const { table, vault } = bench;
  const total = checkInSeconds * checkInsASecond;
  const messages = await signed(appliance, items, total);
  const { checkIns } = await appliance.tokens();
  const client = new ServiceBusClient(checkIns.connectionString);
  const sender = client.createSender(checkIns.queue);
  const startedAtMs = performance.now();
  const batch = checkInsASecond / 10;
  for (let sent = 0; sent < total; sent += batch) {
    await sender.sendMessages(messages.slice(sent, sent + batch).map((body) => ({ body })));
    const aheadMs = ((sent + batch) / checkInsASecond) * 1_000 - (performance.now() - startedAtMs);
    if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
  const sentMs = performance.now() - startedAtMs;
  await until(async () => {
    const { rows } = await listItemRows(table, vault, {});
    const isLast = ({ progress }: (typeof rows)[number]) =>
      progress?.order.epoch === 2 && progress.order.sequence > total - itemCount;
    return rows.filter(isLast).length === items.length ? true : undefined;
  });
  const doneMs = performance.now() - startedAtMs;
  await client.close();
  return {
    checkins_per_second: Math.round(total / (doneMs / 1_000)),
    checkins_behind_seconds: round2((doneMs - sentMs) / 1_000),
    checkin_table_ops: await countOps(bench, messages.slice(0, 500)),
  };
}

/** Check-ins of one item's progress each, item after item. */
async function signed(
  appliance: TestAppliance,
  items: readonly ProtectedItem[],
  total: number,
): Promise<{ vaultId: string; applianceId: string; jws: string }[]> {
  const { applianceId, vaultId } = appliance.registration;
  const messages = [];
  for (let at = 0; at < total; at += 1) {
    const item = items[at % items.length];
    if (item === undefined) throw new Error('no items');
    const body: CheckInBody = { kind: 'progress', items: [progressOf(item)] };
    const head = { version: 1, applianceId, vaultId, epoch: 2, sequence: at + 1, sentAtMs: Date.now() };
    messages.push({ vaultId, applianceId, jws: await sign({ ...head, body }, appliance.signing) });
  }
  return messages;
}

/** Requests to the table for each check-in that is news, counted on the wire. */
async function countOps(
  { connectionString, vault }: Bench,
  messages: readonly { vaultId: string; applianceId: string; jws: string }[],
): Promise<number> {
  const target = new URL(/TableEndpoint=([^;]+)/u.exec(connectionString)?.[1] ?? '');
  let count = 0;
  const proxy = createServer((request, response) => {
    count += 1;
    const { method, headers, url: path } = request;
    const onward = httpRequest(
      { host: target.hostname, port: target.port, method, headers: { ...headers, host: target.host }, path },
      (answer: IncomingMessage) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    request.pipe(onward);
  });
  await new Promise<void>((listening) => {
    proxy.listen(0, '127.0.0.1', listening);
  });
  const { port } = proxy.address() as AddressInfo;
  const table = new Table(connectionString.replace(target.host, `127.0.0.1:${port}`), 'secondsite');
  await table.find({ partition: 'none', row: 'none' });
  count = 0;
  const services = {
    table,
    appliances: new ApplianceCache(table),
    replicaStorage: () => {
      throw new Error('no claim check was made');
    },
  };
  const progress = new ProgressKeeper(table);
  for (const message of messages) {
    const { applianceId, order, sentAtMs, body } = await openCheckIn(services, message);
    if (body.kind !== 'progress') throw new Error('another kind of check-in');
    const news = { order: { ...order, epoch: order.epoch + 1 }, sentAtMs, items: body.items };
    await progress.apply({ vault, applianceId }, news);
  }
  proxy.closeAllConnections();
  proxy.close();
  return round2(count / messages.length);
}

/** Machines enabled all at once, in a vault of their own: each job must end, and each machine be protected once. */
async function benchEnable(bench: Bench) {
  const { platform, table, token } = bench;
  const vault = { ...bench.vault, vaultName: enableVaultName };
  const appliance = await TestAppliance.register(platform, enableVaultName);
  const replication = new TestReplication(appliance);
  await appliance.checkIn(heartbeat());
  const machines = Array.from({ length: enabledAtOnce }, (_, at) => discoveredMachine(at + 1));
  await appliance.checkIn(discovery('vc1', machines));
  await seedPolicy(table, vault, appliance);
  const { fabricName, containerName, applianceId } = appliance.registration;
  const below = `replicationFabrics/${fabricName}/replicationProtectionContainers/${containerName}`;
  const base = `${platform.vaultId(enableVaultName)}/${below}`;
  const protectable = await until(async () => {
    const { value } = (await ask({ platform, token }, `${base}/replicationProtectableItems`)) as {
      value: { id: string; properties: { friendlyName: string } }[];
    };
    return value.length === enabledAtOnce ? value : undefined;
  });
  const startedAtMs = performance.now();
  const statuses = await Promise.all(
    protectable.map(async ({ id, properties }) => {
      const body = {
        properties: {
          policyId: `${platform.vaultId(enableVaultName)}/replicationPolicies/gold`,
          protectableItemId: id,
          providerSpecificDetails: { instanceType: 'InMageAzureV2', processServerId: applianceId },
        },
      };
      const path = `${base}/replicationProtectedItems/${properties.friendlyName}`;
      return (await platform.request('PUT', path, { body })).status;
    }),
  );
  const succeeded = await until(async () => {
    const filter = encodeURIComponent("affectedObjectTypes eq 'ProtectionEntity'");
    const path = `${platform.vaultId(enableVaultName)}/replicationJobs?$filter=${filter}`;
    const { value } = (await ask({ platform, token }, path)) as {
      value: { properties: { scenarioName: string; state: string; targetObjectName: string } }[];
    };
    const enabling = value.filter(({ properties }) => properties.scenarioName === 'EnableDr');
    if (enabling.some(({ properties }) => properties.state === 'InProgress')) return undefined;
    return enabling.filter(({ properties }) => properties.state === 'Succeeded');
  });
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const names = new Set(succeeded.map(({ properties }) => properties.targetObjectName));
  await appliance.close();
  return {
    enable_200_seconds: round2(seconds),
    enable_200_refused: statuses.filter((status) => status !== 202).length,
    enable_200_lost: enabledAtOnce - names.size,
    enable_200_twice: succeeded.length - names.size + (replication.replicas.size - names.size),
  };
}

async function seedPolicy(table: Table, vault: VaultRef, appliance: TestAppliance): Promise<void> {
  const { fabricName, containerName } = appliance.registration;
  const policy = {
    name: 'gold',
    policyId: randomUUID(),
    instanceType: 'InMageAzureV2' as const,
    recoveryPointThresholdInMinutes: 60,
    recoveryPointHistory: 1_440,
    crashConsistentFrequencyInMinutes: 5,
    appConsistentFrequencyInMinutes: 60,
    multiVmSyncStatus: 'Enabled' as const,
    automatic: false,
    createdAtMs: Date.now(),
  };
  await createPolicy(table, vault, { policy, twinId: randomUUID() });
  await createMapping(table, vault, {
    name: 'map',
    fabricName,
    containerName,
    policyName: 'gold',
    direction: 'toAzure',
    automatic: false,
    createdAtMs: Date.now(),
  });
}

function progressOf(item: ProtectedItem) {
  return {
    protectedItemId: item.protectedItemId,
    phase: 'Delta' as const,
    cycle: 2,
    disks: item.disks.map(({ diskId, sizeBytes }) => ({
      diskId,
      totalBytes: sizeBytes,
      processedBytes: sizeBytes,
    })),
    uploadedBytes: 1_000,
    bytesPerSecond: 1_048_576,
    startedAtMs: Date.now(),
  };
}

/** A GET as a client with kept connections sends it; large answers come packed. */
async function ask({ platform, token }: Pick<Bench, 'platform' | 'token'>, path: string): Promise<unknown> {
  const endpoint = platform.platform.config.armEndpoint.replace(/\/$/u, '');
  const headers = { authorization: `Bearer ${token}`, 'accept-encoding': 'br' };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpsGet(`${endpoint}${path}`, { agent, headers }, resolve).on('error', reject);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const packed = Buffer.concat(chunks);
  const isPacked = response.headers['content-encoding'] === 'br';
  const body: unknown = JSON.parse((isPacked ? brotliDecompressSync(packed) : packed).toString('utf8'));
  if (response.statusCode === 200) return body;
  throw new Error(`${path}: ${response.statusCode} ${JSON.stringify(body)}`);
}

const agent = new Agent({ keepAlive: true });

/** Does something for each, so many at once. */
async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  run: (item: T) => Promise<unknown>,
): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const item of left) await run(item);
    }),
  );
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now();
  await run();
  return performance.now() - startedAtMs;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}

function inWords(result: Record<string, number>): string {
  const width = Math.max(...Object.keys(result).map((name) => name.length));
  return Object.entries(result)
    .map(([name, value]) => `${name.padEnd(width)}  ${value}\n`)
    .join('');
}
