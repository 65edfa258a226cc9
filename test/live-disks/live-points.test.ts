import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinuxBlockDevice } from '../../appliance/mobility-agent/linux/linux-block-device.ts';
import { captureLive, type LiveCaptured } from '../../appliance/mobility-agent/linux/live-capture.ts';
import { MiB } from '../../shared/bytes.ts';
import { DomainError } from '../../shared/fault.ts';
import { inspectCopies } from './copy-check.ts';
import { run, whyNotHere, Workshop, type LoopDisk } from './loop-disk.ts';
import { ReplicaRecorder } from './replica-recorder.ts';
import { Writers } from './writers.ts';

/** The long form (`npm run test:faults`) makes more. */
const points = Number(process.env['SECONDSITE_LIVE_POINTS'] ?? 8);
const reason = whyNotHere();
const where = reason === undefined ? '' : ` (not here: ${reason})`;

describe.skipIf(reason)(`points of live disks under load${where}`, { timeout: 300_000 }, () => {
  let workshop: Workshop;
  let devices: LinuxBlockDevice[];
  let recorder: ReplicaRecorder;
  let disks: LoopDisk[];
  let writers: Writers;
  let base: string | undefined;

  beforeAll(() => {
    workshop = new Workshop();
    disks = [workshop.disk('ext4', 256 * MiB), workshop.disk('xfs', 320 * MiB)];
    disks[0]!.format('ext4');
    disks[1]!.format('xfs');
    const folders = disks.map((disk) => disk.mount());
    devices = disks.map(({ path }, at) => new LinuxBlockDevice(`disk-${at}`, path));
    recorder = new ReplicaRecorder(
      workshop.folder,
      devices.map(({ sizeBytes }) => sizeBytes),
    );
    writers = new Writers(folders[0]!, folders[1]!);
  });

  afterAll(async () => {
    await writers.stop();
    await Promise.all(devices.map((device) => device.close()));
    workshop.close();
  });

  /** As the agent does: a point that could not be made is tried again in the same cycle. */
  async function makePoint(): Promise<LiveCaptured> {
    const cycleId = randomUUID();
    for (let attempt = 1; ; attempt += 1) {
      try {
        const captured = await captureLive({
          devices,
          cycleId,
          base,
          known: recorder.known,
          sink: recorder,
          freezeLimitMs: 3_000,
          whenNotConsistent: 'refuse',
          onProgress: () => {},
          onFrozen: () => {},
          signal: new AbortController().signal,
        });
        await recorder.commit(captured.consistency, captured.capturedAtMs);
        for (const { tracker } of devices) tracker.committed(cycleId);
        base = cycleId;
        return captured;
      } catch (error) {
        if (!(error instanceof DomainError) || attempt >= 5) throw error;
      }
    }
  }

  it('are made one after the other while programs write', async () => {
    const made: LiveCaptured[] = [];
    for (let point = 1; point <= points; point += 1) made.push(await makePoint());
    expect(made.map(({ consistency }) => consistency)).toEqual(made.map(() => 'CrashConsistent'));
    expect(made[0]?.compared).toBe('its changes were not followed yet');
    expect(made.every(({ changedBytes }) => changedBytes > 0)).toBe(true);
    expect(writers.areAtWork).toBe(true);
  }, 1_200_000);

  it('are each of one moment: clean file systems, whole files, the same token on both disks', async () => {
    let before = 0;
    for (let point = 1; point <= points; point += 1) {
      const copies = [0, 1].map((disk) => join(workshop.folder, `point-${point}-${disk}`));
      for (const [disk, path] of copies.entries()) await recorder.restore(point, disk, path);
      const { defects, progress } = inspectCopies(workshop, copies[0]!, copies[1]!);
      expect(defects).toEqual([]);
      expect(progress).toBeGreaterThanOrEqual(before);
      before = progress;
    }
    expect(before).toBeGreaterThan(0);
  }, 1_200_000);

  it('hold exactly the bytes of the disks once nobody writes any more', async () => {
    await writers.stop();
    for (const disk of disks) disk.unmount();
    await makePoint();
    for (const [at, { image }] of disks.entries()) {
      const path = join(workshop.folder, `last-${at}`);
      await recorder.restore(recorder.points, at, path);
      run('sync', ['--file-system', image]);
      expect(run('cmp', [image, path])).toBe('');
    }
  });

  it('cost what changed', async () => {
    const sentBefore = recorder.sentBytes;
    const path = disks[0]!.path;
    run('dd', [
      'if=/dev/urandom',
      `of=${path}`,
      'bs=4k',
      'seek=5000',
      'count=3',
      'oflag=direct',
      'status=none',
    ]);
    run('blkdiscard', ['--offset', String(64 * MiB), '--length', String(8 * MiB), path]);
    const captured = await makePoint();
    expect(recorder.sentBytes - sentBefore).toBe(3 * 4096);
    expect(captured.changedBytes).toBe(3 * 4096 + 8 * MiB);
  });
});
