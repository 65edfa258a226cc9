import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { writeSecretFile } from '../../shared/secret-file.ts';
import { syncFolder } from '../../shared/sync-folder.ts';
import type { DiskRange } from '../../shared/wire/agent.ts';
import { DiskRef } from '../../shared/wire/command.ts';
import { shrunkDisk } from '../../shared/wire/shrunk-disk.ts';
import { BlockMap, DamagedMap } from './block-map.ts';

const OpenCycle = z.object({
  cycleId: z.uuid(),
  pointRequest: z.number().int().nonnegative(),
  /** The newest request for a resynchronization that it answers. */
  resyncRequest: z.number().int().nonnegative(),
  /** As they were when it began: with others, another one begins. */
  disks: z.array(DiskRef),
  /**
   * Which start of the machine wrote the cycle's maps; after another, unsynced writes may be missing in them.
   * Absent until there are maps: before anything is sent.
   */
  bootId: z.string().optional(),
});
/** A cycle under way; its maps say what was acknowledged in it. */
export type OpenCycle = z.infer<typeof OpenCycle>;

const State = z.object({
  /** The last point, and the cycle that made it: its maps are what the next cycle compares with. 0: there is none. */
  basePoint: z.number().int().nonnegative(),
  baseCycleId: z.uuid().optional(),
  /** The disks of that point. */
  baseDisks: z.array(DiskRef),
  /** When that point was taken. */
  lastPointAtMs: z.number().int().nonnegative(),
  /** Points made since the agent knows of the item. */
  points: z.number().int().nonnegative(),
  /** The newest request for a point that was answered. */
  answeredRequest: z.number().int().nonnegative(),
  /** The newest request for a resynchronization that is done. */
  answeredResync: z.number().int().nonnegative(),
  open: OpenCycle.optional(),
});
type State = z.infer<typeof State>;

const nothingKnown: State = {
  basePoint: 0,
  baseDisks: [],
  lastPointAtMs: 0,
  points: 0,
  answeredRequest: 0,
  answeredResync: 0,
};

/** What a cycle is to do. */
type CyclePlan = Pick<OpenCycle, 'pointRequest' | 'resyncRequest' | 'disks'>;

/**
 * What an agent remembers of one protected item: which blocks the replica has. Losing it costs a full resend, never
 * data; a wrong entry would, so an entry is forgotten before its block is sent and written after it was acknowledged.
 * A cycle has map files of its own, named by it, so that one write of `state.json` makes them the base.
 */
export class ItemState {
  readonly #folder: string;
  #state: State;

  constructor(dataFolder: string, protectedItemId: string) {
    this.#folder = join(dataFolder, 'items', protectedItemId);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#state = this.#load();
  }

  get known(): Readonly<State> {
    return this.#state;
  }

  /** The cycle to go on with, or a new one, decided before the process server hears of it. */
  openCycle(plan: CyclePlan): OpenCycle {
    const { open } = this.#state;
    const isWhole = open?.bootId === undefined || open.bootId === readBootId();
    if (open && isWhole && isDeepStrictEqual(open.disks, plan.disks)) return open;
    const fresh: OpenCycle = { cycleId: randomUUID(), ...plan };
    this.#save({ ...this.#state, open: fresh });
    return fresh;
  }

  /**
   * Maps to compare with in the open cycle: those of an earlier run of it, or fresh ones.
   *
   * @param replica `isEmpty`: nothing was ever written to it, so that its blocks are zeros; `lost`: what it has no longer
   * @throws DamagedMap; then the next cycle sends everything
   */
  workingMaps(replica: { isEmpty: boolean; lost: readonly DiskRange[] }): BlockMap[] {
    try {
      return this.#workingMaps(replica);
    } catch (error) {
      if (error instanceof DamagedMap) this.reset();
      throw error;
    }
  }

  #workingMaps({ isEmpty, lost }: { isEmpty: boolean; lost: readonly DiskRange[] }): BlockMap[] {
    const { open } = this.#state;
    if (!open) throw new Error('No cycle is open.');
    const isBegun = open.bootId !== undefined;
    const maps = open.disks.map((disk) =>
      isBegun
        ? BlockMap.open(this.#path(disk, open.cycleId), disk.sizeBytes)
        : this.#freshMap(disk, open.cycleId, isEmpty),
    );
    for (const { diskIndex, offsetBytes, lengthBytes } of lost)
      maps[diskIndex]?.forgetAround(offsetBytes, lengthBytes);
    if (isBegun) return maps;
    this.#save({ ...this.#state, open: { ...open, bootId: readBootId() } });
    return maps;
  }

  #freshMap(disk: DiskRef, cycleId: string, replicaIsEmpty: boolean): BlockMap {
    const { baseCycleId, baseDisks } = this.#state;
    const path = this.#path(disk, cycleId);
    const before = baseDisks.find(({ diskId }) => diskId === disk.diskId);
    if (before && before.sizeBytes > disk.sizeBytes) throw shrunkDisk(disk, before.sizeBytes);
    const base = baseCycleId === undefined ? undefined : this.#path(disk, baseCycleId);
    if (before && base !== undefined && existsSync(base))
      return BlockMap.createCopy(path, base, { fromBytes: before.sizeBytes, toBytes: disk.sizeBytes });
    const map = BlockMap.createEmpty(path, disk.sizeBytes);
    // A replica that was written to may hold anything, of a disk that was removed once too: every block is sent.
    if (!replicaIsEmpty) map.forget(0, disk.sizeBytes);
    return map;
  }

  /** The open cycle is a point now: its maps are what the next one compares with. They were flushed before. */
  commit(point: { sequence: number; atMs: number }): void {
    const { open, ...before } = this.#state;
    if (!open) throw new Error('No cycle is open.');
    syncFolder(this.#folder); // the maps' names
    this.#save({
      ...before,
      basePoint: point.sequence,
      baseCycleId: open.cycleId,
      baseDisks: open.disks,
      lastPointAtMs: point.atMs,
      points: before.points + 1,
      answeredRequest: Math.max(before.answeredRequest, open.pointRequest),
      answeredResync: Math.max(before.answeredResync, open.resyncRequest),
    });
    syncFolder(this.#folder);
    this.#tidy();
  }

  /** The process server does not know the open cycle: the next one begins where that one did. */
  dropCycle(): void {
    this.#save({ ...this.#state, open: undefined });
    this.#tidy();
  }

  /** Nothing is known of the replica: the next cycle sends everything. */
  reset(): void {
    this.#save({ ...this.#state, basePoint: 0, baseCycleId: undefined, baseDisks: [], open: undefined });
    this.#tidy();
  }

  /** Deletes the maps of cycles that are neither open nor the base. */
  #tidy(): void {
    const { open, baseCycleId } = this.#state;
    const kept = new Set([open?.cycleId, baseCycleId].filter((id) => id !== undefined));
    for (const name of readdirSync(this.#folder)) {
      const isMap = name.endsWith('.map');
      if (isMap && !kept.has(name.slice(0, name.indexOf('.')))) rmSync(join(this.#folder, name));
    }
  }

  #load(): State {
    try {
      return State.parse(JSON.parse(readFileSync(join(this.#folder, 'state.json'), 'utf8')));
    } catch {
      return nothingKnown; // none yet, or damaged: then everything is sent again
    }
  }

  #save(state: State): void {
    writeSecretFile(join(this.#folder, 'state.json'), JSON.stringify(state));
    this.#state = state;
  }

  #path(disk: DiskRef, cycleId: string): string {
    const name = createHash('sha256').update(disk.diskId).digest('hex').slice(0, 32);
    return join(this.#folder, `${cycleId}.${name}.map`);
  }
}

function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
