import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { watchAppliance } from '../../shared/fabric/appliance-watch.ts';
import { type Appliance } from '../../shared/fabric/appliance.ts';
import { fabricAnswer, healthErrorsOf, providerAnswer } from '../../shared/fabric/fabric-answer.ts';
import { applyHeartbeat, findHeartbeat, heartbeatRows } from '../../shared/fabric/heartbeat.ts';
import { vCenterAnswer } from '../../shared/fabric/vcenter.ts';
import { Table } from '../../shared/store/table.ts';
import { version } from '../../shared/version.ts';
import { type CheckInBody, type Heartbeat } from '../../shared/wire/check-in.ts';
import { heartbeat } from '../integration/test-appliance.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 0, 1);
const vault = { subscriptionId: 's', resourceGroup: 'g', vaultName: 'v' };

function isHeartbeat(body: CheckInBody): body is Heartbeat {
  return body.kind === 'heartbeat';
}

/** A heartbeat of a server that is well. */
function wellHeartbeat(change: Partial<Heartbeat> = {}): Heartbeat {
  const body = heartbeat();
  if (!isHeartbeat(body)) throw new Error('not a heartbeat');
  return {
    ...body,
    machine: { ...body.machine, version },
    processServer: { ...body.processServer, cpuPercent: 5 },
    certificateExpiresAtMs: startMs + 1_000 * dayMs,
    ...change,
  };
}

describe('the health of a configuration server', () => {
  let folder: string;
  let storage: Storage;
  let table: Table;
  let count = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-health-'));
    storage = await startStorage({ dataFolder: folder });
    table = new Table(storage.connectionString, 'secondsite');
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** A server that registered at the start, its heartbeats, and the watch's looks at it. */
  function freshServer() {
    count += 1;
    const applianceId = `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`;
    const key = { kty: 'EC', crv: 'P-256', x: 'x'.repeat(43), y: 'y'.repeat(43) } as const;
    const appliance: Appliance = {
      applianceId,
      vaultId: '/subscriptions/s/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults/v',
      signingKey: key,
      encryptionKey: key,
      machine: wellHeartbeat().machine,
      registeredAtMs: startMs,
    };
    const ref = { vault, applianceId };
    let sequence = 0;
    return {
      appliance,
      beat: (atMs: number, change: Partial<Heartbeat> = {}) =>
        applyHeartbeat(heartbeatRows(table), ref, {
          order: { epoch: 1, sequence: (sequence += 1) },
          sentAtMs: atMs,
          receivedAtMs: atMs,
          heartbeat: wellHeartbeat(change),
        }),
      look: async (nowMs: number) => {
        const watch = await watchAppliance(table, ref, { appliance, nowMs });
        const kept = await findHeartbeat(table, ref);
        return { vault, appliance, heartbeat: kept, watch, protectedItemCount: 0, paired: false, nowMs };
      },
    };
  }

  it('is normal while it is in touch and well', async () => {
    const server = freshServer();
    await server.beat(startMs);
    const view = await server.look(startMs + minuteMs);
    expect(healthErrorsOf(view)).toEqual([]);
    expect(fabricAnswer(view).properties).toMatchObject({ health: 'Normal' });
    expect(providerAnswer(view).properties).toMatchObject({
      connectionStatus: 'Connected',
      lastHeartBeat: new Date(startMs).toISOString(),
      providerVersionState: 'Latest',
    });
  });

  it('is critical from 15 minutes of silence on, and normal when it speaks again', async () => {
    const server = freshServer();
    await server.beat(startMs);
    expect((await server.look(startMs + 15 * minuteMs)).watch.connected).toBe(true);
    const silent = await server.look(startMs + 16 * minuteMs);
    expect(silent.watch).toMatchObject({ connected: false, changedAtMs: startMs + 16 * minuteMs });
    expect(fabricAnswer(silent).properties).toMatchObject({
      health: 'Critical',
      healthErrorDetails: [{ errorCode: 'ApplianceSilent', errorLevel: 'Error' }],
    });
    const later = await server.look(startMs + 30 * minuteMs);
    expect(later.watch.changedAtMs).toBe(silent.watch.changedAtMs);
    await server.beat(startMs + 31 * minuteMs);
    const back = await server.look(startMs + 32 * minuteMs);
    expect([back.watch.connected, healthErrorsOf(back)]).toEqual([true, []]);
  });

  it('is critical when it registered and never spoke', async () => {
    const view = await freshServer().look(startMs + 16 * minuteMs);
    expect(healthErrorsOf(view).map(({ errorCode }) => errorCode)).toEqual(['ApplianceNeverSeen']);
  });

  it('counts a load only when it has lasted for 15 minutes without a break', async () => {
    const server = freshServer();
    const busy = { processServer: { ...wellHeartbeat().processServer, cpuPercent: 90 } };
    const codesAt = async (minute: number, change: Partial<Heartbeat>) => {
      await server.beat(startMs + minute * minuteMs, change);
      const view = await server.look(startMs + minute * minuteMs);
      return healthErrorsOf(view).map(({ errorCode, errorLevel }) => `${errorLevel} ${errorCode}`);
    };
    expect(await codesAt(0, busy)).toEqual([]);
    expect(await codesAt(10, busy)).toEqual([]);
    expect(await codesAt(12, {})).toEqual([]);
    expect(await codesAt(13, busy)).toEqual([]);
    expect(await codesAt(26, busy)).toEqual([]);
    expect(await codesAt(28, busy)).toEqual(['Warning ProcessServerCpuHigh']);
  });

  it("tells the process server's troubles there and on the fabric, not on the provider", async () => {
    const server = freshServer();
    const full = {
      processServer: {
        ...wellHeartbeat().processServer,
        cacheFreeBytes: 1_000,
        pendingUploadBytes: 1e12,
        uploadBytesPerSecond: 1,
      },
    };
    await server.beat(startMs, full);
    await server.look(startMs);
    await server.beat(startMs + 15 * minuteMs, full);
    const view = await server.look(startMs + 15 * minuteMs);
    const errors = [{ errorCode: 'ProcessServerCacheLow' }, { errorCode: 'ProcessServerBacklog' }];
    expect(fabricAnswer(view).properties).toMatchObject({
      health: 'Critical',
      healthErrorDetails: errors,
      customDetails: { processServers: [{ health: 'Critical', healthErrors: errors }] },
    });
    expect(providerAnswer(view).properties).toMatchObject({ healthErrorDetails: [] });
  });

  it.each([
    [40, []],
    [20, ['Warning ApplianceCertificateExpiring']],
    [5, ['Error ApplianceCertificateExpiring']],
    [-1, ['Error ApplianceCertificateExpired']],
  ])('knows a certificate that ends in %i days', async (days, expected) => {
    const server = freshServer();
    await server.beat(startMs, { certificateExpiresAtMs: startMs + days * dayMs + minuteMs });
    const errors = healthErrorsOf(await server.look(startMs));
    expect(errors.map(({ errorCode, errorLevel }) => `${errorLevel} ${errorCode}`)).toEqual(expected);
  });

  it('names the agents that are silent', async () => {
    const agent = {
      biosUuid: '420f0000-0000-4000-8000-000000000001',
      hostName: 'web-1',
      ipAddress: '10.0.1.1',
      osName: 'Debian 12',
      version,
      lastHeartbeatMs: startMs - 16 * minuteMs,
    };
    const server = freshServer();
    await server.beat(startMs, {
      agents: [agent, { ...agent, hostName: 'web-2', lastHeartbeatMs: startMs - minuteMs }],
    });
    const [error, ...others] = healthErrorsOf(await server.look(startMs));
    expect(error).toMatchObject({ errorCode: 'AgentsSilent', errorLevel: 'Warning' });
    expect([error?.errorMessage.includes('web-1'), error?.errorMessage.includes('web-2'), others]).toEqual([
      true,
      false,
      [],
    ]);
  });

  it('is critical with a version that the vault does not work with', async () => {
    const server = freshServer();
    const { machine } = wellHeartbeat();
    const nextMajor = Number(version.split('.')[0]) - 1;
    await server.beat(startMs, { machine: { ...machine, version: `${nextMajor}.0.0` } });
    const view = await server.look(startMs);
    expect(healthErrorsOf(view)).toMatchObject([{ errorCode: 'ApplianceVersionNotSupported' }]);
    expect(fabricAnswer(view).properties).toMatchObject({ customDetails: { versionStatus: 'NotSupported' } });
  });

  it.each([
    [
      'a fault',
      5,
      { code: 'RemoteFailure', message: 'The password is wrong.' } as const,
      'VCenterDiscoveryFailed',
    ],
    ['no discovery for an hour', 61, undefined, 'VCenterSilent'],
    ['a discovery a while ago', 59, undefined, undefined],
  ])('of a vCenter follows from %s', async (_, minutes, fault, code) => {
    const server = freshServer();
    const nowMs = startMs + minutes * minuteMs;
    await server.beat(nowMs, {
      vCenters: [{ vCenterName: 'vcenter67', lastSuccessMs: startMs, ...(fault && { fault }) }],
    });
    const { appliance, heartbeat } = await server.look(nowMs);
    const vCenter = {
      name: 'vcenter67',
      friendlyName: 'vcenter67',
      address: '10.0.0.9',
      port: 443,
      accountId: '1',
      addedAtMs: startMs,
    };
    const { properties } = vCenterAnswer({
      vault,
      appliance,
      vCenter,
      heartbeat,
      discovery: undefined,
      nowMs,
    });
    expect(properties).toMatchObject({
      lastHeartbeat: new Date(startMs).toISOString(),
      healthErrors: code === undefined ? [] : [{ errorCode: code }],
    });
  });
});
