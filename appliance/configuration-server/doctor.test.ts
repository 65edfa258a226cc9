import { expect, test } from 'vitest';
import { GiB } from '../../shared/bytes.ts';
import type { ApplianceStatus, Finding } from '../../shared/wire/appliance-control.ts';
import type { PrerequisiteReport } from '../../shared/wire/prerequisite.ts';
import { diagnose } from './doctor.ts';

const nowMs = Date.UTC(2026, 0, 10);
const dayMs = 24 * 60 * 60 * 1000;

const health = {
  cpuPercent: 10,
  memoryTotalBytes: 16 * GiB,
  memoryAvailableBytes: 8 * GiB,
  cacheTotalBytes: 600 * GiB,
  cacheFreeBytes: 500 * GiB,
  systemLoad: 0.1,
  pendingUploadBytes: 0,
  uploadBytesPerSecond: 0,
  replicatingMachines: 0,
};
const processServer = {
  host: '0.0.0.0',
  port: 9443,
  caFingerprint: 'AA',
  certificateExpiresAtMs: nowMs + 1_000 * dayMs,
  health,
};
const well: ApplianceStatus = {
  state: 'running',
  version: '1.0.0',
  dataFolder: '/data',
  applianceId: 'an id',
  vaultName: 'ContosoVMVault',
  cloud: { state: 'connected', sinceMs: nowMs - dayMs, clockDifferenceMs: 100 },
  processServer,
  agents: [],
  accounts: [],
  vCenters: [],
  outboxWaiting: 0,
  pendingCommands: [],
};
const prerequisites: PrerequisiteReport = {
  profile: 'linux',
  outcome: 'Passed',
  undersized: false,
  measuredAtMs: nowMs,
  checks: [{ name: 'memory', outcome: 'Passed', found: '16 GiB', wanted: '12 GiB', action: '' }],
};

function troubles(change: Partial<ApplianceStatus>): Finding[] {
  return diagnose({ ...well, ...change }, prerequisites, nowMs).filter(({ outcome }) => outcome !== 'Passed');
}

test('finds nothing wrong with an appliance that is well', () => {
  expect(troubles({})).toEqual([]);
  expect(diagnose(well, prerequisites, nowMs).map(({ subject }) => subject)).toContain('prerequisite memory');
});

const fault = {
  code: 'Unavailable',
  message: 'It can’t be reached.',
  recommendedAction: 'Check the cable.',
} as const;
const vCenter = { vCenterName: 'vc1', address: 'a', port: 443, accountId: '1', machines: 3 };
const agent = { biosUuid: 'b', hostName: 'web01', ipAddress: 'i', osName: 'o', version: 'v' };

test.each<[string, Partial<ApplianceStatus>, Partial<Finding>]>([
  ['stopped', { state: 'stopped' }, { subject: 'process', outcome: 'Failed' }],
  ['cut off', { cloud: { state: 'away', sinceMs: nowMs, fault } }, { subject: 'vault', outcome: 'Failed' }],
  [
    'going wrong by its clock',
    { cloud: { state: 'connected', sinceMs: nowMs, clockDifferenceMs: 6 * 60_000 } },
    { subject: 'clock', outcome: 'Warning' },
  ],
  [
    'short of processors',
    { processServer: { ...processServer, health: { ...health, cpuPercent: 96 } } },
    { subject: 'processors', outcome: 'Warning' },
  ],
  [
    'short of memory',
    { processServer: { ...processServer, health: { ...health, memoryAvailableBytes: 2 * GiB } } },
    { subject: 'memory', outcome: 'Warning' },
  ],
  [
    'short of cache',
    { processServer: { ...processServer, health: { ...health, cacheFreeBytes: 160 * GiB } } },
    { subject: 'cache disk', outcome: 'Warning' },
  ],
  [
    'near its certificate’s end',
    { processServer: { ...processServer, certificateExpiresAtMs: nowMs + 30 * dayMs } },
    { subject: 'certificate authority', outcome: 'Warning', found: 'good for 30 days' },
  ],
  [
    'left by an agent',
    { agents: [{ ...agent, lastHeartbeatMs: nowMs - 20 * 60_000 }] },
    { subject: 'agent web01', outcome: 'Warning', found: 'not heard of for 20 minutes' },
  ],
  [
    'not heard by Service Bus',
    { cloud: { state: 'connected', sinceMs: nowMs, checkIns: { sinceMs: nowMs, message: 'No way there.' } } },
    { subject: 'check-ins', outcome: 'Failed', found: expect.stringContaining('2026-01-10T00:00:00.000Z') },
  ],
  [
    'at a standstill with a machine',
    { replication: [{ protectedItemId: 'an item', phase: 'InitialReplication', fault }] },
    { subject: 'replication an item', outcome: 'Failed', action: 'Check the cable.' },
  ],
  ['behind with check-ins', { outboxWaiting: 500 }, { subject: 'check-ins', outcome: 'Warning' }],
])('says what to do when the appliance is %s', (_, change, expected) => {
  const [only, ...others] = troubles(change);
  expect(others).toEqual([]);
  expect(only).toMatchObject({ ...expected, action: expect.stringMatching(/\w/u) });
});

test('says since when a vCenter is away, and that its last picture is kept', () => {
  const [found] = troubles({
    vCenters: [{ ...vCenter, fault, failingSinceMs: nowMs - dayMs, lastSuccessMs: nowMs - 2 * dayMs }],
  });
  expect(found).toEqual({
    subject: 'vCenter vc1',
    outcome: 'Failed',
    found:
      'since 2026-01-09T00:00:00.000Z: It can’t be reached. The last picture, of 2026-01-08T00:00:00.000Z, has 3 machines.',
    action: 'Check the cable.',
  });
});

test('puts the worst first', () => {
  const outcomes = diagnose({ ...well, outboxWaiting: 500, state: 'stopped' }, prerequisites, nowMs).map(
    ({ outcome }) => outcome,
  );
  expect(outcomes.slice(0, 3)).toEqual(['Failed', 'Warning', 'Passed']);
});
