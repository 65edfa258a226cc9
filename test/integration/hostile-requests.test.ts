import * as fc from 'fast-check';
import { TableClient } from '@azure/data-tables';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { refusedOperations } from '../../functions/http/refused-operations.ts';
import { type Route, implementedRoutes } from '../api/app-routes.ts';
import { type TestPlatform, startTestPlatform } from './platform.ts';
import { TestAppliance } from './test-appliance.ts';

describe('hostile requests', () => {
  let platform: TestPlatform;
  let appliance: TestAppliance;

  beforeAll(async () => {
    platform = await startTestPlatform();
    await platform.request('PUT', platform.vaultId('ContosoVMVault'), { body: { location: 'eastus' } });
    appliance = await TestAppliance.register(platform, 'ContosoVMVault');
  });

  afterAll(async () => {
    await appliance.close();
    await platform.close();
  });

  it('are answered on every route, never with a bug, and leave nothing half done', async () => {
    const known: Record<string, string> = {
      subscriptionId: platform.subscriptionId,
      resourceGroup: platform.resourceGroup,
      vaultName: 'ContosoVMVault',
      fabricName: appliance.registration.fabricName,
      containerName: appliance.registration.containerName,
      providerName: appliance.registration.applianceId,
      applianceId: appliance.registration.applianceId,
    };
    const routes = [...(await implementedRoutes()), ...refusedOperations];
    expect(routes.length).toBeGreaterThan(150);
    const request = fc.record({ route: fc.constantFrom(...routes), name: names, query, body, headers });
    const send = async ({ route, name, ...rest }: Sent) => {
      const isHostile = name.everywhere || removesWhatIsThere(route);
      const path = route.route.replaceAll(
        /\{(\w+)\}/gu,
        (_, parameter: string) => (isHostile ? undefined : known[parameter]) ?? name.text,
      );
      const sent = { headers: rest.headers, ...(route.method !== 'GET' && { body: rest.body }) };
      return (await platform.request(route.method, `/${path}?${rest.query}`, sent)).status;
    };
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: atOnce, maxLength: atOnce }), async (requests) => {
        const statuses = await Promise.all(requests.map(send));
        expect(requests.filter((_, at) => statuses[at] === 500)).toEqual([]);
      }),
      { numRuns: Math.ceil(requestCount / atOnce) },
    );
    await vi.waitFor(async () => expect(await halfDone()).toEqual([]), { timeout: 60_000, interval: 500 });
  }, 900_000);

  /** Jobs that have not ended, and partitions with rows of vaults that are not there. */
  async function halfDone(): Promise<string[]> {
    const { storageConnectionString } = platform.platform.config;
    const table = TableClient.fromConnectionString(storageConnectionString, 'secondsite', {
      allowInsecureConnection: true,
    });
    const found: string[] = [];
    const vaults = new Set<string>();
    const partitions = new Set<string>();
    for await (const { partitionKey = '', rowKey = '', v0 } of table.listEntities<{ v0?: string }>()) {
      if (rowKey.startsWith('vaults!')) vaults.add(`${partitionKey}!${rowKey.slice('vaults!'.length)}`);
      else if (partitionKey.split('!').length === 3) partitions.add(partitionKey);
      if (rowKey.startsWith('replicationjobs!') && v0?.includes('"state":"InProgress"')) found.push(rowKey);
    }
    return [...found, ...[...partitions].filter((partition) => !vaults.has(partition))];
  }
});

/** How many requests are sent; a long run is made by setting it. */
const requestCount = Number(process.env['FUZZ_REQUESTS'] ?? 1_600);
const atOnce = 8;

type Sent = {
  route: Route;
  name: { text: string; everywhere: boolean };
  query: string;
  body: string;
  headers: Record<string, string>;
};

/** What would take away what the other requests are about is asked of hostile names only. */
function removesWhatIsThere({ method, route }: Route): boolean {
  if (method === 'DELETE') return /\{(?:vaultName|fabricName|providerName)\}$/u.test(route);
  return /\{(?:fabricName|providerName)\}\/remove$/u.test(route);
}

const odd = fc.constantFrom(
  '%2F',
  '..%2F..',
  '%00',
  '%E0%A4',
  '%F0%9F%98%80',
  'a'.repeat(1_000),
  "a'b",
  'a%22b',
  'a%5Cb',
  'a%23b',
  'a%3Fb',
  '~',
  '!',
  '%EF%BF%BF',
  '__proto__',
  'constructor',
  '00000000-0000-0000-0000-000000000000',
  'contoso',
);
const names = fc.record({
  text: fc.oneof(
    odd,
    fc.string({ unit: 'binary', minLength: 1 }).map((text) => encodeURIComponent(text.toWellFormed())),
  ),
  /** In place of the names of what is there, too. */
  everywhere: fc.boolean(),
});
const query = fc
  .dictionary(
    fc.constantFrom(
      '$filter',
      '$skipToken',
      'skipToken',
      '$take',
      'api-version',
      'storageAccountId',
      'vaultName',
    ),
    fc.oneof(
      fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
      fc.constantFrom("name eq 'x'", '-1', 'MQ'),
    ),
  )
  .map((pairs) => new URLSearchParams(pairs).toString());
const properties = fc.dictionary(
  fc.constantFrom(
    'ipAddress',
    'port',
    'runAsAccountId',
    'policyId',
    'providerSpecificInput',
    'protectableItemId',
  ),
  fc.oneof(fc.jsonValue(), fc.constant({ instanceType: 'InMageAzureV2', multiVmSyncStatus: 'Enable' })),
);
const body = fc.oneof(
  fc.json(),
  fc.constantFrom('', '{', 'null', '{"properties":null}', '{"__proto__":{"a":1}}'),
  fc
    .record({
      properties,
      location: fc.constantFrom('eastus', ''),
      registrationKey: fc.string(),
      assertion: fc.string({ minLength: 10 }),
    })
    .map((value) => JSON.stringify(value)),
);
const headers = fc.dictionary(
  fc.constantFrom(
    'if-match',
    'if-none-match',
    'x-ms-correlation-request-id',
    'accept',
    'content-type',
    'agent-authentication',
    'x-forwarded-host',
  ),
  fc.constantFrom('*', '""', 'W/"x"', 'a'.repeat(3_000), '\u00e4', 'text/xml', ',,,', '{}'),
);
