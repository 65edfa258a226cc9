import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspectBlockDevice } from '../../appliance/mobility-agent/linux/block-device.ts';
import { BlockTrace } from '../../appliance/mobility-agent/linux/block-trace.ts';
import { DirectReader } from '../../appliance/mobility-agent/linux/direct-reader.ts';
import type { Extent } from '../../appliance/mobility-agent/linux/dirty-map.ts';
import { Hooks } from '../../appliance/mobility-agent/linux/hooks.ts';
import { LinuxBlockDevice } from '../../appliance/mobility-agent/linux/linux-block-device.ts';
import {
  captureLive,
  type LiveCaptured,
  type LiveCaptureParts,
} from '../../appliance/mobility-agent/linux/live-capture.ts';
import { MiB } from '../../shared/bytes.ts';
import { run, whyNotHere, Workshop, type LoopDisk } from './loop-disk.ts';
import { ReplicaRecorder } from './replica-recorder.ts';

const reason = whyNotHere();
const instances = '/sys/kernel/tracing/instances';

describe.skipIf(reason)(
  `a live disk${reason === undefined ? '' : ` (not here: ${reason})`}`,
  { timeout: 300_000 },
  () => {
    let workshop: Workshop;
    let disk: LoopDisk;
    let device: LinuxBlockDevice;
    let recorder: ReplicaRecorder;
    let base: string | undefined;

    beforeEach(() => {
      workshop = new Workshop();
      disk = workshop.disk('disk', 64 * MiB);
      protect(disk.path);
    });
    afterEach(async () => {
      await device.close();
      workshop.close();
    });

    function protect(path: string, traceKiB?: number): void {
      device = new LinuxBlockDevice('disk-0', path, traceKiB === undefined ? {} : { traceKiB });
      recorder = new ReplicaRecorder(workshop.folder, [device.sizeBytes]);
      base = undefined;
    }

    function write(seekPages: number, pages: number, path = disk.path): void {
      const where = [`of=${path}`, `seek=${seekPages}`, `count=${pages}`, 'bs=4k'];
      run('dd', ['if=/dev/urandom', ...where, 'oflag=direct', 'conv=notrunc', 'status=none']);
    }

    function partsOf(parts: Partial<LiveCaptureParts>, cycleId: string): LiveCaptureParts {
      return {
        devices: [device],
        cycleId,
        base,
        known: recorder.known,
        sink: recorder,
        freezeLimitMs: 3_000,
        whenNotConsistent: 'refuse',
        onProgress: () => {},
        onFrozen: () => {},
        signal: new AbortController().signal,
        ...parts,
      };
    }

    async function makePoint(
      parts: Partial<LiveCaptureParts> = {},
      cycleId: string = randomUUID(),
    ): Promise<LiveCaptured> {
      const captured = await captureLive(partsOf(parts, cycleId));
      await recorder.commit(captured.consistency, captured.capturedAtMs);
      device.tracker.committed(cycleId);
      base = cycleId;
      return captured;
    }

    async function expectRestored(image = disk.image, from = 0): Promise<void> {
      const path = join(workshop.folder, `restored-${recorder.points}`);
      await recorder.restore(recorder.points, 0, path);
      run('sync', ['--file-system', image]);
      run('cmp', ['--ignore-initial', `${from}:0`, '--bytes', String(device.sizeBytes), image, path]);
    }

    it('is compared once; then only what was written is sent', async () => {
      write(100, 50);
      expect((await makePoint()).compared).toContain('not followed yet');
      write(3000, 7);
      const captured = await makePoint();
      expect(captured.compared).toBeUndefined();
      expect(captured.changedBytes).toBe(7 * 4096);
      expect((await makePoint()).changedBytes).toBe(0);
      await expectRestored();
    });

    it('sends again what the process server lost, and no more than that', async () => {
      write(0, 4096);
      await makePoint();
      const lost = [{ diskIndex: 0, offsetBytes: 512 * 1024, lengthBytes: 128 * 1024 }];
      const captured = await makePoint({ lost });
      expect(captured.compared).toBeUndefined();
      expect(captured.changedBytes).toBe(128 * 1024);
      await expectRestored();
    });

    it('notices that the trace overran, compares the whole disk, and goes on', async () => {
      await device.close();
      protect(disk.path, 8);
      await makePoint();
      write(0, 4_000); // this process stands still meanwhile, and can't empty the trace
      const captured = await makePoint();
      expect(captured.compared).toContain('lost events');
      expect(device.tracker.lost.times).toBe(1);
      write(5000, 2);
      expect(await makePoint()).toMatchObject({ changedBytes: 2 * 4096 });
      await expectRestored();
    });

    it('notices that somebody emptied or switched off its trace', async () => {
      for (const [file, value] of [
        ['trace', ''],
        ['tracing_on', '0'],
        ['events/block/block_rq_complete/filter', 'sector == 1'],
      ] as const) {
        const { disk } = device.device;
        const trace = BlockTrace.open(disk);
        const own = readdirSync(instances)
          .filter((name) => name.startsWith(`secondsite-${process.pid}-`))
          .toSorted()
          .at(-1)!;
        trace.settle(() => {});
        write(0, 3);
        if (file === 'trace') {
          trace.settle(() => {});
          write(8, 3);
        }
        writeFileSync(join(instances, own, file), value);
        trace.settle(() => {});
        expect(trace.lost).toBeDefined();
        trace.close();
        expect(readdirSync(instances)).not.toContain(own);
      }
    });

    it('is a partition as well: its own sectors, and no other partition’s writes', async () => {
      const first = disk.addPartition(1, 2048, 32_768);
      const second = disk.addPartition(2, 34_816, 32_768);
      await device.close();
      protect(first);
      expect(device.device).toMatchObject({ kind: 'partition', startBytes: 1 * MiB, sizeBytes: 16 * MiB });
      await makePoint();
      write(20, 3, first);
      write(10, 5, second);
      expect((await makePoint()).changedBytes).toBe(3 * 4096);
      await expectRestored(disk.image, 1 * MiB);
    });

    it('is a whole disk with the writes of its partitions, whose file systems are frozen with it', async () => {
      const part = disk.addPartition(1, 2048, 65_536);
      disk.format('ext4', part);
      const folder = disk.mount([], part);
      await device.close();
      protect(disk.path);
      await makePoint();
      writeFileSync(join(folder, 'content'), Buffer.alloc(200_000, 'x'));
      const captured = await makePoint();
      expect(captured.changedBytes).toBeGreaterThanOrEqual(200_000);
      expect(captured).toMatchObject({ consistency: 'CrashConsistent', unfreezable: [] });
      const path = join(workshop.folder, 'copy');
      await recorder.restore(recorder.points, 0, path);
      const copy = workshop.open(path);
      const copied = copy.mount(['-o', 'ro,noload'], copy.addPartition(1, 2048, 65_536));
      expect(readFileSync(join(copied, 'content'))).toEqual(Buffer.alloc(200_000, 'x'));
      copy.unmount();
      disk.unmount();
    });

    it('that is written to whenever it is read gives a point that says so, or none', async () => {
      await makePoint();
      const disturbed = new DisturbedReader(disk.path, () => write(500, 1));
      await device.reader.close();
      Object.assign(device, { reader: disturbed });
      write(0, 1);
      await expect(makePoint()).rejects.toThrow('No recovery point was made');
      expect((await makePoint({ whenNotConsistent: 'mark' })).consistency).toBe('NotConsistent');
      disturbed.calmAfter(2);
      expect((await makePoint()).consistency).toBe('CrashConsistent');
      await expectRestored();
    });

    it('loses nothing when sending fails, or when a cycle is dropped', async () => {
      await makePoint();
      write(0, 3_000);
      const failing = {
        send: () => Promise.reject(new Error('the link is down')),
        flush: () => Promise.resolve(),
      };
      const cycleId = randomUUID();
      await expect(makePoint({ sink: failing }, cycleId)).rejects.toThrow('the link is down');
      const discarded = { send: () => Promise.resolve(), flush: () => Promise.resolve() };
      await captureLive(partsOf({ sink: discarded }, cycleId));
      write(9_000, 1);
      const captured = await makePoint(); // another cycle: what the dropped one had copied is sent again
      expect(captured).toMatchObject({ changedBytes: 3_001 * 4096 });
      expect(captured.compared).toBeUndefined();
      await expectRestored();
    });

    it('runs hooks around the freeze, and claims no more than they made true', async () => {
      const folder = join(workshop.folder, 'hooks');
      const log = join(workshop.folder, 'log');
      hook(folder, 'before-freeze.d/10-database', `echo "$SECONDSITE_PHASE" >> ${log}`);
      hook(folder, 'after-thaw.d/10-database', `echo "$SECONDSITE_PHASE $SECONDSITE_OUTCOME" >> ${log}`);
      expect((await makePoint({ hooks: new Hooks(folder, 10_000) })).consistency).toBe('AppConsistent');
      expect(readFileSync(log, 'utf8')).toBe('before-freeze\nafter-thaw made\n');
      hook(folder, 'before-freeze.d/20-slow', 'sleep 600');
      const late = await makePoint({ hooks: new Hooks(folder, 200) });
      expect(late.consistency).toBe('CrashConsistent');
      expect(late.hookFailure).toContain('20-slow failed: it took longer than 0.2 s');
      chmodSync(join(folder, 'before-freeze.d/20-slow'), 0o777);
      const unsafe = await makePoint({ hooks: new Hooks(folder, 10_000) });
      expect(unsafe.hookFailure).toContain('others than the agent and root may write to it');
      expect((await makePoint({ hooks: new Hooks(join(folder, 'none'), 1_000) })).consistency).toBe(
        'CrashConsistent',
      );
    });

    it('is refused by name when its writes can not be followed', () => {
      expect(() => inspectBlockDevice('/dev/null')).toThrow('it is not a block device');
      expect(() => inspectBlockDevice(disk.image)).toThrow('it is not a block device');
      expect(() => inspectBlockDevice('/dev/no-such-disk')).toThrow('ENOENT');
    });
  },
);

function hook(folder: string, name: string, script: string): void {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o700 });
}

/** A disk that somebody writes to each time when it was read. */
class DisturbedReader extends DirectReader {
  readonly #disturb: () => void;
  #times = Infinity;

  constructor(path: string, disturb: () => void) {
    super(path);
    this.#disturb = disturb;
  }

  calmAfter(times: number): void {
    this.#times = times;
  }

  override async read(
    extents: Iterable<Extent>,
    take: (extent: Extent, bytes: Buffer) => Promise<void> | void,
  ): Promise<void> {
    await super.read(extents, take);
    this.#times -= 1;
    if (this.#times >= 0) this.#disturb();
  }
}
