import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ItemState } from './item-state.ts';

const item = randomUUID();
const disks = [{ diskId: 'a', sizeBytes: 3 * 64 * 1024 }];
const unknown = new Uint8Array(16).fill(0xff);
const zeros = new Uint8Array(16);
const hash = new Uint8Array(16).fill(7);
let folder: string;

function plan(pointRequest: number): Parameters<ItemState['openCycle']>[0] {
  return { pointRequest, resyncRequest: 0, disks };
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'item-state-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function mapOf(state: ItemState, replicaIsEmpty: boolean): ReturnType<ItemState['workingMaps']>[number] {
  return state.workingMaps({ isEmpty: replicaIsEmpty, lost: [] })[0]!;
}

function block(map: ReturnType<typeof mapOf>, number: number): Uint8Array {
  return map.read(number * 64 * 1024, 64 * 1024);
}

test('an empty replica is known to be zeros, any other is not known at all', () => {
  const fresh = new ItemState(folder, item);
  fresh.openCycle(plan(0));
  expect(block(mapOf(fresh, true), 0)).toEqual(zeros);
  const other = new ItemState(folder, randomUUID());
  other.openCycle(plan(0));
  expect(block(mapOf(other, false), 0)).toEqual(unknown);
});

test('a cycle goes on with what was acknowledged in it, in another process too', () => {
  const before = new ItemState(folder, item);
  const { cycleId } = before.openCycle(plan(3));
  mapOf(before, true).write(64 * 1024, hash);
  const after = new ItemState(folder, item);
  expect(after.openCycle(plan(9))).toMatchObject({ cycleId, pointRequest: 3 });
  expect(block(mapOf(after, false), 1)).toEqual(hash);
});

test('a cycle that another start of the machine began is begun anew from its base', () => {
  const state = new ItemState(folder, item);
  const { cycleId } = state.openCycle(plan(0));
  mapOf(state, true).write(0, hash);
  state.commit({ sequence: 1, atMs: 5 });
  const second = state.openCycle(plan(0));
  mapOf(state, false).write(0, zeros);
  const path = join(folder, 'items', item, 'state.json');
  const known = { ...state.known, open: { ...second, bootId: 'another' } };
  writeFileSync(path, JSON.stringify(known));
  const after = new ItemState(folder, item);
  const third = after.openCycle(plan(0));
  expect(third.cycleId).not.toBe(second.cycleId);
  expect(after.known).toMatchObject({ basePoint: 1, baseCycleId: cycleId });
  expect(block(mapOf(after, false), 0)).toEqual(hash);
});

test('a committed cycle is the base of the next, and older maps are gone', () => {
  const state = new ItemState(folder, item);
  for (let point = 1; point <= 3; point += 1) {
    state.openCycle(plan(point));
    const map = mapOf(state, point === 1);
    map.write(0, new Uint8Array(16).fill(point));
    map.close();
    state.commit({ sequence: point, atMs: point });
  }
  expect(state.known).toMatchObject({ basePoint: 3, points: 3, answeredRequest: 3, lastPointAtMs: 3 });
  state.openCycle(plan(0));
  expect(block(mapOf(state, false), 0)).toEqual(new Uint8Array(16).fill(3));
  const maps = readdirSync(join(folder, 'items', item)).filter((name) => name.endsWith('.map'));
  expect(maps).toHaveLength(2);
});

test('what is dropped or reset leaves nothing that could be taken for true', () => {
  const state = new ItemState(folder, item);
  state.openCycle(plan(0));
  mapOf(state, true).write(0, hash);
  state.dropCycle();
  state.openCycle(plan(0));
  expect(block(mapOf(state, true), 0)).toEqual(zeros);
  state.commit({ sequence: 1, atMs: 1 });
  state.reset();
  expect(state.known).toMatchObject({ basePoint: 0, points: 1 });
  state.openCycle(plan(0));
  expect(block(mapOf(state, false), 0)).toEqual(unknown);
});

test('a state file that was damaged means that nothing is known', () => {
  const state = new ItemState(folder, item);
  state.openCycle(plan(0));
  mapOf(state, true);
  state.commit({ sequence: 4, atMs: 1 });
  truncateSync(join(folder, 'items', item, 'state.json'), 10);
  expect(new ItemState(folder, item).known.basePoint).toBe(0);
});
