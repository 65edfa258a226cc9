import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { LinuxBlockDevice } from '../../appliance/mobility-agent/linux/linux-block-device.ts';
import { captureLive, type LiveCaptured } from '../../appliance/mobility-agent/linux/live-capture.ts';
import { DomainError } from '../../shared/fault.ts';
import { Workshop, type LoopDisk } from './loop-disk.ts';
import { ReplicaRecorder } from './replica-recorder.ts';

const attemptsAtMost = 5;

/** A machine of two disks, one with ext4 and one with xfs, both mounted, and the replica log that its points go into. */
export class LiveMachine {
  readonly workshop = new Workshop();
  readonly disks: LoopDisk[];
  /** Where the file systems are mounted. */
  readonly folders: string[];
  readonly recorder: ReplicaRecorder;
  readonly #devices: LinuxBlockDevice[];
  #base: string | undefined;

  constructor(sizes: { ext4: number; xfs: number }) {
    const types = ['ext4', 'xfs'] as const;
    this.disks = types.map((type) => {
      const disk = this.workshop.disk(type, sizes[type]);
      disk.format(type);
      return disk;
    });
    this.folders = this.disks.map((disk) => disk.mount());
    this.#devices = this.disks.map(({ path }, at) => new LinuxBlockDevice(`disk-${at}`, path));
    this.recorder = new ReplicaRecorder(
      this.workshop.folder,
      this.#devices.map(({ sizeBytes }) => sizeBytes),
    );
  }

  /** As the agent does: a point that could not be made is tried again in the same cycle. */
  async makePoint(): Promise<LiveCaptured> {
    const cycleId = randomUUID();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#makePoint(cycleId);
      } catch (error) {
        if (!(error instanceof DomainError) || attempt >= attemptsAtMost) throw error;
      }
    }
  }

  /** The disks as they were at a point. */
  async restore(point: number): Promise<LoopDisk[]> {
    const paths = this.disks.map((_, disk) => join(this.workshop.folder, `point-${point}-${disk}`));
    for (const [disk, path] of paths.entries()) {
      rmSync(path, { force: true });
      await this.recorder.restore(point, disk, path);
    }
    return paths.map((path) => this.workshop.open(path));
  }

  async close(): Promise<void> {
    await Promise.all(this.#devices.map((device) => device.close()));
    this.workshop.close();
  }

  async #makePoint(cycleId: string): Promise<LiveCaptured> {
    const captured = await captureLive({
      devices: this.#devices,
      cycleId,
      base: this.#base,
      known: this.recorder.known,
      sink: this.recorder,
      freezeLimitMs: 3_000,
      whenNotConsistent: 'refuse',
      onProgress: () => {},
      onFrozen: () => {},
      signal: new AbortController().signal,
    });
    await this.recorder.commit(captured.consistency, captured.capturedAtMs);
    for (const { tracker } of this.#devices) tracker.committed(cycleId);
    this.#base = cycleId;
    return captured;
  }
}
