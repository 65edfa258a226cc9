import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
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

  it('are answered on every route, never with a bug', async () => {
    const known = {
      subscriptionId: platform.subscriptionId,
      resourceGroup: platform.resourceGroup,
      vaultName: 'ContosoVMVault',
      fabricName: appliance.registration.fabricName,
      containerName: appliance.registration.containerName,
      providerName: appliance.registration.applianceId,
      applianceId: appliance.registration.applianceId,
    };
    const routes = (await allRoutes()).filter(
      ({ method, route }) => method !== 'DELETE' || !route.endsWith('{vaultName}'),
    );
    expect(routes.length).toBeGreaterThan(30);
    for (const { method, route } of routes) {
      await fc.assert(
        fc.asyncProperty(names, query, body, async (name, query, body) => {
          const path = route.replaceAll(/\{(\w+)\}/gu, (_, parameter: string) =>
            parameter in known && !name.everywhere ? known[parameter as keyof typeof known] : name.text,
          );
          const answer = await platform.request(
            method,
            `/${path}?${query}`,
            method === 'GET' ? {} : { body },
          );
          expect([method, route, name, query, body, answer.status, answer.body]).toSatisfy(
            () => answer.status !== 500,
          );
        }),
        { numRuns: 12 },
      );
    }
  });
});

/** Loads the app outside of a host, where the library warns of each function. */
async function allRoutes(): Promise<readonly { method: string; route: string }[]> {
  const warn = vi.spyOn(console, 'warn').mockReturnValue();
  try {
    await import('../../functions/index.ts');
    const { routesByMethod } = await import('../../functions/edge/http-edge.ts');
    return routesByMethod();
  } finally {
    warn.mockRestore();
  }
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
