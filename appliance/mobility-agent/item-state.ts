import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeSecretFile } from '../../shared/secret-file.ts';
import { syncFolder } from '../../shared/sync-folder.ts';
import type { DiskRef } from '../../shared/wire/command.ts';
import { BlockMap } from './block-map.ts';

const State = z.object({
  /** The point that the committed maps stand for; 0: there are none. */
  basePoint: z.number().int().nonnegative(),
  /** When the last point was taken. */
  lastPointAtMs: z.number().int().nonnegative(),
  /** The newest request for a point that was answered. */
  answeredRequest: z.number().int().nonnegative(),
  /** The cycle under way; its working maps say what was acknowledged in it. */
  open: z
    .object({
      cycleId: z.uuid(),
      basePoint: z.number().int().nonnegative(),
      pointRequest: z.number().int().nonnegative(),
      /** Which start of the machine wrote the working maps: after another, unsynced writes may be missing in them. */
      bootId: z.string(),
    })
    .optional(),
});
type State = z.infer<typeof State>;

/**
 * What an agent remembers of one protected item: which blocks the replica has. Losing it costs a full resend, never
 * data; a wrong entry would, so an entry is forgotten before its block is sent and written after it was acknowledged.
 */
export class ItemState {
  readonly #folder: string;
  #state: State;

  constructor(dataFolder: string, protectedItemId: string) {
    this.#folder = join(dataFolder, 'items', protectedItemId);
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#state = this.#load();
  }

  get basePoint(): number {
    return this.#state.basePoint;
  }

  get lastPointAtMs(): number {
    return this.#state.lastPointAtMs;
  }

  get answeredRequest(): number {
    return this.#state.answeredRequest;
  }

  get open(): State['open'] {
    return this.#state.open;
  }

  /** Decides the next cycle, before the process server hears of it. */
  openCycle(pointRequest: number): NonNullable<State['open']> {
    const open = { cycleId: randomUUID(), basePoint: this.#state.basePoint, pointRequest, bootId: '' };
    this.#save({ ...this.#state, open });
    return open;
  }

  /** Maps to compare with in the open cycle: those of an earlier run of it, or fresh ones. */
  workingMaps(disks: readonly DiskRef[], replicaIsEmpty: boolean): BlockMap[] {
    const { open } = this.#state;
    if (!open) throw new Error('No cycle is open.');
    const bootId = readBootId();
    const maps = disks.map((disk) => {
      const working = this.#path(disk, 'working');
      const committed = this.#path(disk, 'committed');
      if (open.bootId === bootId && existsSync(working)) return BlockMap.open(working);
      const isFresh = open.bootId === '';
      if (isFresh && open.basePoint > 0 && existsSync(committed))
        return BlockMap.createCopy(working, committed);
      const map = BlockMap.createEmpty(working, disk.sizeBytes);
      // A replica that was written to may hold anything: every block is sent, zeros too.
      if (!(isFresh && open.basePoint === 0 && replicaIsEmpty)) map.forget(0, disk.sizeBytes);
      return map;
    });
    this.#save({ ...this.#state, open: { ...open, bootId } });
    return maps;
  }

  /** The cycle is a point now: its maps are what the next one compares with. */
  commit(disks: readonly DiskRef[], point: { sequence: number; atMs: number }): void {
    const answeredRequest = Math.max(this.#state.answeredRequest, this.#state.open?.pointRequest ?? 0);
    for (const disk of disks) {
      const working = this.#path(disk, 'working');
      if (existsSync(working)) renameSync(working, this.#path(disk, 'committed'));
    }
    // Else a power cut could leave the new point with the old maps.
    syncFolder(this.#folder);
    this.#save({ basePoint: point.sequence, lastPointAtMs: point.atMs, answeredRequest });
  }

  /** Nothing is known of the replica: the next cycle sends everything. */
  reset(): void {
    this.#save({ ...this.#state, basePoint: 0, open: undefined });
  }

  forget(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #load(): State {
    const path = join(this.#folder, 'state.json');
    const empty: State = { basePoint: 0, lastPointAtMs: 0, answeredRequest: 0 };
    if (!existsSync(path)) return empty;
    const parsed = State.safeParse(JSON.parse(readFileSync(path, 'utf8')));
    return parsed.success ? parsed.data : empty;
  }

  #save(state: State): void {
    writeSecretFile(join(this.#folder, 'state.json'), JSON.stringify(state));
    this.#state = state;
  }

  #path(disk: DiskRef, kind: 'working' | 'committed'): string {
    const name = createHash('sha256').update(disk.diskId).digest('hex').slice(0, 32);
    return join(this.#folder, `${name}.${kind}`);
  }
}

function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
