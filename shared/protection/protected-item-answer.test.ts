import { describe, expect, it } from 'vitest';
import { itemOfTest } from './item-of-test.ts';
import { type ItemView, protectedItemAnswer } from './protected-item-answer.ts';
import { type ProtectedItem } from './protected-item.ts';

const { currentJob: _, ...idle } = itemOfTest;
const protectedItem: ProtectedItem = { ...idle, state: 'Protected', protectedAtMs: 5_000 };
const nowMs = 100_000;

function view(changes: Partial<ItemView>): ItemView {
  return {
    vault: { subscriptionId: 's', resourceGroup: 'g', vaultName: 'v' },
    item: protectedItem,
    serverName: 'ContosoCS',
    heartbeat: undefined,
    progress: undefined,
    anchor: undefined,
    nowMs,
    ...changes,
  };
}

const copying: ItemView['progress'] = {
  order: { epoch: 1, sequence: 1 },
  sentAtMs: 99_000,
  progress: {
    protectedItemId: itemOfTest.protectedItemId,
    phase: 'InitialReplication',
    cycle: 1,
    disks: [
      { diskId: 'a', totalBytes: 4_096, processedBytes: 4_096 },
      { diskId: 'b', totalBytes: 8_192, processedBytes: 2_048 },
    ],
    uploadedBytes: 3_072,
    bytesPerSecond: 2_097_152,
    startedAtMs: 90_000,
  },
};

describe('a protected item at ARM', () => {
  it('computes its RPO at the moment of the question', () => {
    const newest = { name: itemOfTest.protectedItemId, sequence: 1, timeMs: 40_000 };
    const { properties } = protectedItemAnswer(view({ anchor: { sequence: 1, hash: 'h', newest } }));
    expect(properties.providerSpecificDetails).toMatchObject({
      rpoInSeconds: 60,
      lastRecoveryPointReceived: '1970-01-01T00:00:40.000Z',
      protectionStage: 'DifferentialSync',
      resyncProgressPercentage: 0,
    });
  });

  it('warns that no test failover was done, as the real service does', () => {
    const { properties } = protectedItemAnswer(view({}));
    expect(properties).toMatchObject({
      replicationHealth: 'Normal',
      failoverHealth: 'Warning',
      currentScenario: { scenarioName: 'None', startTime: '1753-01-01T01:01:01Z' },
      healthErrors: [{ errorCode: '161011', errorLevel: 'Warning', errorCategory: 'TestFailover' }],
    });
    expect(properties.providerSpecificDetails.vmNics[0]?.ipConfigs[0]).toHaveProperty(
      'isSeletedForFailover',
      true,
    );
  });

  it('shows how far the initial replication is, disk by disk', () => {
    const item: ProtectedItem = { ...idle, state: 'InitialReplicationInProgress' };
    const { properties } = protectedItemAnswer(view({ item, progress: copying }));
    const details = properties.providerSpecificDetails;
    expect(details).toMatchObject({
      protectionStage: 'InitialReplication',
      resyncProgressPercentage: 50,
      uncompressedDataRateInMB: 2,
      compressedDataRateInMB: 1,
      rpoInSeconds: null,
      totalProgressHealth: 'InProgress',
    });
    expect(details.protectedDisks).toMatchObject([
      { diskId: 'a', resyncProgressPercentage: 100, resyncProcessedBytes: 4_096 },
      { diskId: 'b', resyncProgressPercentage: 25, resyncDurationInSeconds: 10 },
    ]);
    expect(properties.healthErrors).toEqual([]);
  });

  it('is critical where replication stands still or the log can not be followed', () => {
    const fault = { code: 'Unavailable' as const, message: 'Storage is away.', recommendedAction: 'Wait.' };
    const progress = { ...copying, progress: { ...copying.progress, fault } };
    const defect = { blob: 'points/000000000002.json', detail: 'altered', atMs: 1 };
    const { properties } = protectedItemAnswer(
      view({ progress, anchor: { sequence: 1, hash: 'h', defect } }),
    );
    expect(properties.replicationHealth).toBe('Critical');
    expect(properties.healthErrors.map(({ errorCode }) => errorCode)).toEqual([
      'ReplicationUnavailable',
      'ReplicaDamaged',
      '161011',
    ]);
  });

  it('is being disabled from the moment that job holds it', () => {
    const currentJob = { jobId: itemOfTest.enableJobId, scenario: 'DisableDr' as const, startedAtMs: 0 };
    const { properties } = protectedItemAnswer(view({ item: { ...protectedItem, currentJob } }));
    expect(properties).toMatchObject({ protectionState: 'DisablingProtection', allowedOperations: [] });
  });
});
