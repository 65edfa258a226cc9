import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GiB, MiB } from '../../../shared/bytes.ts';
import { DirtyMap, dirtyPageBytes } from './dirty-map.ts';

const sizeBytes = 300 * MiB + 512;
const pages = Math.ceil(sizeBytes / dirtyPageBytes);
const write = fc.record({
  offsetBytes: fc.oneof(
    fc.integer({ min: 0, max: sizeBytes }),
    fc.integer({ min: 128 * MiB - 20_000, max: 128 * MiB + 20_000 }),
  ),
  lengthBytes: fc.oneof(fc.integer({ min: 0, max: 600_000 }), fc.integer({ min: 0, max: sizeBytes })),
});

/** The slow truth. */
function pagesOf(writes: readonly { offsetBytes: number; lengthBytes: number }[]): Set<number> {
  const dirty = new Set<number>();
  for (const { offsetBytes, lengthBytes } of writes) {
    const end = Math.min(offsetBytes + lengthBytes, sizeBytes);
    const from = Math.floor(offsetBytes / dirtyPageBytes);
    for (let page = from; page * dirtyPageBytes < end; page += 1) dirty.add(page);
  }
  return dirty;
}

function mapOf(writes: readonly { offsetBytes: number; lengthBytes: number }[]): DirtyMap {
  const map = new DirtyMap(sizeBytes);
  for (const { offsetBytes, lengthBytes } of writes) map.add(offsetBytes, lengthBytes);
  return map;
}

describe('a dirty map', () => {
  it('gives exactly the pages that were touched, in order, joined, within the disk', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 8 }), (writes) => {
        const map = mapOf(writes);
        const expected = pagesOf(writes);
        expect(map.dirtyBytes).toBe(expected.size * dirtyPageBytes);
        const found = new Set<number>();
        let before = -1;
        for (const { offsetBytes, lengthBytes } of map.extents()) {
          expect(offsetBytes).toBeGreaterThan(before);
          before = offsetBytes + lengthBytes;
          expect(before).toBeLessThanOrEqual(sizeBytes);
          const last = Math.ceil(before / dirtyPageBytes);
          for (let page = offsetBytes / dirtyPageBytes; page < last; page += 1) found.add(page);
        }
        expect(found.size).toBe(expected.size);
        expect([...found].every((page) => expected.has(page) && page < pages)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('joins maps as sets', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 5 }), fc.array(write, { maxLength: 5 }), (one, other) => {
        const joined = mapOf(one);
        joined.addAll(mapOf(other));
        expect([...joined.extents()]).toEqual([...mapOf([...one, ...other]).extents()]);
        expect(joined.dirtyBytes).toBe(pagesOf([...one, ...other]).size * dirtyPageBytes);
      }),
      { numRuns: 40 },
    );
  });

  it('gives what it has taken and begins anew', () => {
    const map = mapOf([{ offsetBytes: 5000, lengthBytes: 1 }]);
    const taken = map.take();
    map.add(0, 1);
    expect([...taken.extents()]).toEqual([{ offsetBytes: 4096, lengthBytes: 4096 }]);
    expect([...map.extents()]).toEqual([{ offsetBytes: 0, lengthBytes: 4096 }]);
    map.clear();
    expect(map.isEmpty).toBe(true);
  });

  it('cuts long extents, and the last page at the end of the disk', () => {
    const map = mapOf([{ offsetBytes: 300 * MiB - 8192, lengthBytes: 1 * GiB }]);
    expect([...map.extents(8192)]).toEqual([
      { offsetBytes: 300 * MiB - 8192, lengthBytes: 8192 },
      { offsetBytes: 300 * MiB, lengthBytes: 512 },
    ]);
  });
});
