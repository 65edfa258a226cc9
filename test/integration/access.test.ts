import { type z } from 'zod';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { actionOf } from '../../shared/access/action.ts';
import { refusedOperations } from '../../functions/http/refused-operations.ts';
import { Table } from '../../shared/store/table.ts';
import { jobIdAt } from '../../shared/job/job-id.ts';
import { changeJob, ensureJob, listJobs } from '../../shared/job/job-store.ts';
import { endJob } from '../../shared/job/job.ts';
import { recordAuditEvent } from '../../shared/audit/audit-event.ts';
import { AuditEventsAnswer } from '../../shared/wire/own-api.ts';
import { implementedRoutes } from '../api/app-routes.ts';
import { shouldAllow } from '../api/expected-roles.ts';
import { type TestPlatform, startTestPlatform } from './platform.ts';
import { downloadKey, makeKeyPair, registrationBody } from './test-appliance.ts';

const roles = {
  contributor: 'Site Recovery Contributor',
  operator: 'Site Recovery Operator',
  reader: 'Site Recovery Reader',
} as const;

type AuditEvents = z.infer<typeof AuditEventsAnswer>;

function methodsOf({ value }: AuditEvents): unknown[] {
  return value.map(({ properties }) => properties['method']);
}

describe('who may do what, and what is remembered of it', () => {
  let platform: TestPlatform;

  beforeAll(async () => {
    platform = await startTestPlatform();
  });

  afterAll(async () => {
    await platform.close();
  });

  async function freshVault(vaultName: string): Promise<string> {
    await platform.request('PUT', platform.vaultId(vaultName), { body: { location: 'eastus' } });
    return platform.vaultId(vaultName);
  }

  async function auditOf(vaultId: string, query = ''): Promise<AuditEvents> {
    const answer = await platform.request('GET', `${vaultId}/secondsite/auditEvents${query}`, {
      role: 'reader',
    });
    expect(answer.status).toBe(200);
    return AuditEventsAnswer.parse(answer.body);
  }

  it('every operation is allowed or refused as the real roles would', async () => {
    const routes = (await implementedRoutes()).filter(
      ({ route }) => !/secondsite\/(?:registrations|appliances\/)/u.test(route),
    );
    const wrong: string[] = [];
    for (const { method, route } of routes) {
      const path = `/${route.replaceAll(/\{\w+\}/gu, 'Absent')}`;
      for (const [role, roleName] of Object.entries(roles)) {
        const options = { role: role as keyof typeof roles, ...(method !== 'GET' && { body: {} }) };
        const { status } = await platform.request(method, path, options);
        const isAllowed = status !== 403;
        if (isAllowed !== shouldAllow(roleName, actionOf(method, route)) || status === 401 || status >= 500) {
          wrong.push(`${role} ${method} ${route}: ${status}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(routes.length).toBeGreaterThan(80);
  });

  it('every operation that is refused by name is refused to everybody, with what to do instead', async () => {
    for (const { method, route } of refusedOperations) {
      const path = `/${route.replaceAll(/\{\w+\}/gu, 'Absent')}`;
      const answer = await platform.request(method, path, method === 'GET' ? {} : { body: {} });
      expect([method, path, answer.status, answer.body]).toMatchObject([
        method,
        path,
        400,
        { error: { code: 'NotSupported', innererror: { recommendedAction: expect.any(String) as string } } },
      ]);
      expect(await platform.request(method, path, { role: null })).toMatchObject({ status: 401 });
    }
  });

  it('every write leaves a row that says who, what, when and with what result', async () => {
    const vaultId = await freshVault('Audited');
    const correlationId = '11111111-2222-4333-8444-555555555555';
    await platform.request('PATCH', vaultId, {
      body: { tags: { a: 'b' } },
      headers: { 'x-ms-correlation-request-id': correlationId },
    });
    await platform.request('PATCH', vaultId, { body: { tags: 7 } });
    await platform.request('DELETE', vaultId, { role: 'operator' });
    await platform.request('GET', vaultId);
    await platform.request('PUT', vaultId, { body: {}, role: null });
    const { value } = await auditOf(vaultId);
    expect(value.map(({ properties }) => properties)).toMatchObject([
      {
        method: 'DELETE',
        action: 'Microsoft.RecoveryServices/Vaults/delete',
        status: 403,
        outcome: 'Refused',
        errorCode: 'AuthorizationFailed',
      },
      { method: 'PATCH', status: 400, outcome: 'Refused', errorCode: 'InvalidRequestContent' },
      { method: 'PATCH', status: 200, outcome: 'Succeeded', errorCode: null, correlationId, path: vaultId },
      { method: 'PUT', status: 201, action: 'Microsoft.RecoveryServices/Vaults/write' },
    ]);
    const [refused] = value;
    expect(refused?.properties).toMatchObject({
      time: expect.stringMatching(/^\d{4}-.*Z$/u) as string,
      caller: { objectId: expect.stringMatching(/.+/u) as string, tenantId: expect.any(String) as string },
    });
  });

  it('outlives the vault, and holds nothing of vaults that never were', async () => {
    const vaultId = await freshVault('Brief');
    await platform.request('DELETE', vaultId);
    await platform.request('PATCH', platform.vaultId('Never'), { body: {} });
    await freshVault('Brief');
    await freshVault('Never');
    expect(methodsOf(await auditOf(vaultId))).toEqual(['PUT', 'DELETE', 'PUT']);
    expect(methodsOf(await auditOf(platform.vaultId('Never')))).toEqual(['PUT']);
  });

  it('remembers a registration, and nothing of a stranger who failed', async () => {
    const vaultId = await freshVault('Registered');
    const keys = { signing: makeKeyPair(), encryption: makeKeyPair() };
    const body = await registrationBody(await downloadKey(platform, 'Registered'), keys);
    const path = `${vaultId}/secondsite/registrations`;
    await platform.request('POST', path, { body: { ...body, proof: 'a.forged.one' }, role: null });
    expect(await platform.request('POST', path, { body, role: null })).toMatchObject({ status: 200 });
    const { value } = await auditOf(vaultId);
    expect(value.map(({ properties }) => [properties['path'], properties['status']])).toEqual([
      [path, 200],
      [`${vaultId}/secondsite/registrationKeys`, 200],
      [vaultId, 201],
    ]);
  });

  it('the hourly housekeeping runs on the host', async () => {
    await freshVault('Tidied');
    const table = new Table(platform.platform.config.storageConnectionString, 'secondsite');
    const { subscriptionId, resourceGroup } = platform;
    const vault = { subscriptionId, resourceGroup, vaultName: 'Tidied' };
    const startedAtMs = Date.now() - 8 * 86_400_000;
    const jobId = jobIdAt(startedAtMs);
    await ensureJob(table, vault, {
      jobId,
      scenario: 'RefreshFabricLayout',
      target: { id: 't', name: 'n' },
      resource: [],
      affected: {},
      activityId: 'a',
      startedAtMs,
    });
    await changeJob(table, { vault, jobId }, (job) => endJob(job, { state: 'Succeeded' }, startedAtMs));
    await platform.runTimer('housekeeping');
    await vi.waitFor(async () => {
      expect((await listJobs(table, vault)).rows).toEqual([]);
    }, 20_000);
    expect(platform.lines.filter((line) => /housekeeping.*(?:error|fail)/iu.test(line))).toEqual([]);
  });

  it('is listed a thousand at a time, newest first', async () => {
    const vaultId = await freshVault('Busy');
    const table = new Table(platform.platform.config.storageConnectionString, 'secondsite');
    const { subscriptionId, resourceGroup } = platform;
    const row = {
      callerObjectId: 'o',
      callerTenantId: 't',
      callerName: 'n',
      action: 'a',
      method: 'POST',
      path: vaultId,
      status: 200,
      correlationId: 'c',
    };
    const vault = { subscriptionId, resourceGroup, vaultName: 'Busy' };
    await Promise.all(
      Array.from({ length: 1_001 }, (_, at) => recordAuditEvent(table, vault, { ...row, atMs: at + 1 })),
    );
    const first = await auditOf(vaultId);
    const next = new URL(first.nextLink ?? '');
    const second = await auditOf(vaultId, next.search);
    expect([first.value.length, second.value.length, second.nextLink]).toEqual([1_000, 2, null]);
    const times = [...first.value, ...second.value].map(({ properties }) => properties.time);
    expect(times).toEqual(times.toSorted().toReversed());
    const few = await auditOf(vaultId, '?$take=3');
    expect(few.value).toEqual(first.value.slice(0, 3));
  });
});
