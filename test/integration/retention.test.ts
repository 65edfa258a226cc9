import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { DomainError } from '../../shared/fault.ts';
import { containerOf } from '../../shared/protection/replica-container.ts';
import { advanceRecoveryPoints } from '../../shared/recovery/advance.ts';
import { findCompactionState, listRetentionRuns } from '../../shared/recovery/compaction-store.ts';
import { holdPoint, releasePoint } from '../../shared/recovery/hold-point.ts';
import { recoveryPointName } from '../../shared/recovery/recovery-point.ts';
import { retainItem } from '../../shared/recovery/retain.ts';
import { type ReplicaLog } from '../../shared/replica/replica-store.ts';
import { RetentionSite } from './retention-site.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

async function expectAllRestore(site: RetentionSite, log: ReplicaLog): Promise<void> {
  for (const sequence of await site.sequences()) expect(await site.restores(log, sequence)).toBe(true);
  expect((await site.verify(log)).defects).toEqual([]);
}

describe('the retention of an item', () => {
  let folder: string;
  let storage: Storage;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-retention-'));
    storage = await startStorage({ dataFolder: folder, inMemory: true });
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Four hours of points, all rewriting the same blocks. */
  async function fourHours(): Promise<{ site: RetentionSite; log: ReplicaLog }> {
    const site = new RetentionSite(storage, 64);
    const log = await site.log();
    for (let point = 0; point < 48; point += 1) await site.point(log, [point % 8, 8 + (point % 3), 20]);
    return { site, log };
  }

  it('thins, compacts, deletes what nothing needs two collections later, and tells all of it', async () => {
    const { site, log } = await fourHours();
    await site.writeSegment(log, [63]);
    await site.point(
      log,
      Array.from({ length: 64 }, (_, block) => block),
    );
    const before = await site.storedBytes();
    await site.retain();
    expect((await site.sequences()).length).toBeLessThan(30);
    await expectAllRestore(site, log);
    site.nowMs += 2 * hourMs;
    await site.retain();
    site.nowMs += hourMs;
    await site.retain();
    await expectAllRestore(site, log);
    expect(await site.storedBytes()).toBeLessThan(before);
    expect(await site.storedBytes()).toBeLessThan(1.6 * (await site.liveBytes()));
    const state = (await findCompactionState(site.services.table, site.item))?.value;
    expect(state?.space).toMatchObject({ storedBytes: await site.storedBytes(), deadBytes: 0 });
    const runs = (await listRetentionRuns(site.services.table, site.item, {})).rows.map(({ value }) => value);
    const dropped = runs.flatMap(({ dropped }) => dropped.map(({ sequence }) => sequence));
    const kept = await site.sequences();
    expect(new Set([...dropped, ...kept]).size).toBe(49);
    expect(dropped.length + kept.length).toBe(49);
    expect(runs.reduce((sum, { removedBlobs }) => sum + removedBlobs, 0)).toBeGreaterThan(20);
  });

  it('does not drop a point that somebody holds, nor delete while somebody does; a hold ends by itself', async () => {
    const { site, log } = await fourHours();
    const { table } = site.services;
    await advanceRecoveryPoints(site.services, site.item);
    const name = recoveryPointName(site.item.protectedItemId, 7);
    const hold = { holdId: 'drill-1', holder: 'a drill', untilMs: site.nowMs + 30 * hourMs };
    await holdPoint(table, site.item, name, { hold, nowMs: site.nowMs });
    const dayLater = site.nowMs + dayMs;
    await site.retain(dayMs);
    const blobs = await site.storedBytes();
    site.nowMs = dayLater;
    await site.retain(hourMs);
    expect(await site.sequences()).toEqual([7, 48]);
    await expectAllRestore(site, log);
    expect(await site.storedBytes()).toBeGreaterThanOrEqual(blobs);
    site.nowMs += 7 * hourMs;
    await site.retain(hourMs);
    expect(await site.sequences()).toEqual([48]);
    site.nowMs += 7 * hourMs;
    await site.retain(hourMs);
    await expectAllRestore(site, log);
    expect(await site.storedBytes()).toBeLessThan(blobs);
  });

  it('drops a point after its hold was released, and holds none that is gone', async () => {
    const { site } = await fourHours();
    const { table } = site.services;
    await advanceRecoveryPoints(site.services, site.item);
    const name = recoveryPointName(site.item.protectedItemId, 7);
    const hold = { holdId: 'drill-1', holder: 'a drill', untilMs: site.nowMs + 30 * hourMs };
    await holdPoint(table, site.item, name, { hold, nowMs: site.nowMs });
    await releasePoint(table, site.item, name, 'drill-1');
    await releasePoint(table, site.item, name, 'drill-1');
    await site.retain(0);
    expect(await site.sequences()).toEqual([48]);
    await expect(holdPoint(table, site.item, name, { hold, nowMs: site.nowMs })).rejects.toMatchObject({
      fault: { code: 'ResourceNotFound' },
    });
    await releasePoint(table, site.item, name, 'drill-1');
  });

  it('lets one of many who do it at once through, while the appliance goes on', async () => {
    const { site, log } = await fourHours();
    await advanceRecoveryPoints(site.services, site.item);
    const steps = Array.from({ length: 4 }, () =>
      retainItem(site.services, site.item, site.options(hourMs)).then(
        () => 'done',
        (error: unknown) => (error instanceof DomainError ? error.fault.code : inspect(error)),
      ),
    );
    for (let point = 0; point < 6; point += 1) {
      await site.point(log, [point]);
      await advanceRecoveryPoints(site.services, site.item);
    }
    const outcomes = await Promise.all(steps);
    const passing = ['done', 'Unavailable', 'PreconditionFailed', 'Conflict'];
    expect(outcomes.filter((outcome) => !passing.includes(outcome))).toEqual([]);
    await site.retain(hourMs);
    await expectAllRestore(site, log);
    expect(await site.anchor()).toMatchObject(site.head);
  });

  it('leaves a damaged log as it is and says which blob it is; goes on when it is put right', async () => {
    const { site, log } = await fourHours();
    const blob = containerOf(site.services, site.item.protectedItemId).getBlockBlobClient(
      'log/000000000005.seg',
    );
    const bytes = await blob.downloadToBuffer();
    await advanceRecoveryPoints(site.services, site.item);
    await blob.delete();
    await site.retain(hourMs);
    const damaged = (await findCompactionState(site.services.table, site.item))?.value;
    expect(damaged?.problem).toMatchObject({ blob: 'log/000000000005.seg' });
    expect((await site.anchor())?.compaction).toBeUndefined();
    await blob.uploadData(bytes);
    await site.retain(hourMs);
    const healed = (await findCompactionState(site.services.table, site.item))?.value;
    expect(healed?.problem).toBeUndefined();
    await expectAllRestore(site, log);
  });
});
