import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LiveCaptured } from '../../appliance/mobility-agent/linux/live-capture.ts';
import { MiB } from '../../shared/bytes.ts';
import { inspectCopies } from './copy-check.ts';
import { LiveMachine } from './live-machine.ts';
import { run, whyNotHere } from './loop-disk.ts';
import { Writers } from './writers.ts';

/** The long form (`npm run test:faults`) makes more. */
const points = Number(process.env['SECONDSITE_LIVE_POINTS'] ?? 6);
const reason = whyNotHere();
const where = reason === undefined ? '' : ` (not here: ${reason})`;

describe.skipIf(reason)(`points of live disks under load${where}`, { timeout: 1_200_000 }, () => {
  let machine: LiveMachine;
  let writers: Writers;

  beforeAll(() => {
    machine = new LiveMachine({ ext4: 256 * MiB, xfs: 320 * MiB });
    writers = new Writers(machine.folders[0]!, machine.folders[1]!);
  });

  afterAll(async () => {
    await writers.stop();
    await machine.close();
  });

  it('are made one after the other while programs write', async () => {
    const made: LiveCaptured[] = [];
    for (let point = 1; point <= points; point += 1) made.push(await machine.makePoint());
    expect(made.map(({ consistency }) => consistency)).toEqual(made.map(() => 'CrashConsistent'));
    expect(made[0]?.compared).toBe('its changes were not followed yet');
    expect(made.every(({ changedBytes }) => changedBytes > 0)).toBe(true);
    expect(writers.areAtWork).toBe(true);
  });

  it('are each of one moment: clean file systems, whole files, the same token on both disks', async () => {
    let before = 0;
    for (let point = 1; point <= points; point += 1) {
      const [ext4, xfs] = await machine.restore(point);
      const { defects, progress } = inspectCopies(ext4!, xfs!);
      expect(defects).toEqual([]);
      expect(progress).toBeGreaterThanOrEqual(before);
      before = progress;
    }
    expect(before).toBeGreaterThan(0);
  });

  it('hold exactly the bytes of the disks once nobody writes any more', async () => {
    await writers.stop();
    for (const disk of machine.disks) disk.unmount();
    await machine.makePoint();
    const copies = await machine.restore(machine.recorder.points);
    for (const [at, { image }] of machine.disks.entries()) {
      run('sync', ['--file-system', image]);
      expect(run('cmp', [image, copies[at]!.image])).toBe('');
    }
  });

  it('cost what changed', async () => {
    const { recorder, disks } = machine;
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
    const captured = await machine.makePoint();
    expect(recorder.sentBytes - sentBefore).toBe(3 * 4096);
    expect(captured.changedBytes).toBe(3 * 4096 + 8 * MiB);
  });
});
