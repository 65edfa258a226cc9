import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeSecretFile } from '../../shared/secret-file.ts';
import { syncFolder } from '../../shared/sync-folder.ts';
import type { DiskRef } from '../../shared/wire/command.ts';
import { BlockMap, DamagedMap } from './block-map.ts';

const OpenCycle = z.object({
  cycleId: z.uuid(),
  pointRequest: z.number().int().nonnegative(),
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
  /** When that point was taken. */
  lastPointAtMs: z.number().int().nonnegative(),
  /** Points made since the agent knows of the item. */
  points: z.number().int().nonnegative(),
  /** The newest request for a point that was answered. */
  answeredRequest: z.number().int().nonnegative(),
  open: OpenCycle.optional(),
});
type State = z.infer<typeof State>;

const nothingKnown: State = { basePoint: 0, lastPointAtMs: 0, points: 0, answeredRequest: 0 };

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
  openCycle(pointRequest: number): OpenCycle {
    const { open } = this.#state;
    if (open && (open.bootId === undefined || open.bootId === readBootId())) return open;
    const fresh: OpenCycle = { cycleId: randomUUID(), pointRequest };
    this.#save({ ...this.#state, open: fresh });
    return fresh;
  }

  /**
   * Maps to compare with in the open cycle: those of an earlier run of it, or fresh ones.
   *
   * @param replicaIsEmpty nothing was ever written to the replica, so that its blocks are zeros
   * @throws DamagedMap; then the next cycle sends everything
   */
  workingMaps(disks: readonly DiskRef[], replicaIsEmpty: boolean): BlockMap[] {
    try {
      return this.#workingMaps(disks, replicaIsEmpty);
    } catch (error) {
      if (error instanceof DamagedMap) this.reset();
      throw error;
    }
  }

  #workingMaps(disks: readonly DiskRef[], replicaIsEmpty: boolean): BlockMap[] {
    const { open, baseCycleId } = this.#state;
    if (!open) throw new Error('No cycle is open.');
    if (open.bootId !== undefined) {
      return disks.map((disk) => BlockMap.open(this.#path(disk, open.cycleId), disk.sizeBytes));
    }
    const maps = disks.map((disk) => {
      const path = this.#path(disk, open.cycleId);
      const base = baseCycleId === undefined ? undefined : this.#path(disk, baseCycleId);
      if (base !== undefined && existsSync(base)) return BlockMap.createCopy(path, base, disk.sizeBytes);
      const map = BlockMap.createEmpty(path, disk.sizeBytes);
      // A replica that was written to may hold anything: every block is sent, zeros too.
      if (base !== undefined || !replicaIsEmpty) map.forget(0, disk.sizeBytes);
      return map;
    });
    this.#save({ ...this.#state, open: { ...open, bootId: readBootId() } });
    return maps;
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
      lastPointAtMs: point.atMs,
      points: before.points + 1,
      answeredRequest: Math.max(before.answeredRequest, open.pointRequest),
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
    this.#save({ ...this.#state, basePoint: 0, baseCycleId: undefined, open: undefined });
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
