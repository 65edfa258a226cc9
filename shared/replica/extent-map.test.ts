import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExtentMap } from './extent-map.ts';
import type { IndexEntry } from './segment-format.ts';

const SECTORS = 60;
const whole = { startSector: 0, endSector: SECTORS };

/** Segments, oldest first, of extents of which the later is the newer; each extent has a number unique in all. */
const layers = fc
  .array(
    fc.array(
      fc.record({
        start: fc.nat(SECTORS - 1),
        length: fc.integer({ min: 1, max: 20 }),
        isZero: fc.boolean(),
      }),
      {
        maxLength: 8,
      },
    ),
    { maxLength: 8 },
  )
  .map((segments) => {
    let number = 0;
    return segments.map((extents) =>
      extents.map(({ start, length, isZero }): IndexEntry => {
        number += 1;
        const sectorCount = Math.min(length, SECTORS - start);
        const payloadLength = isZero ? 0 : 1;
        return {
          number,
          disk: 0,
          firstSector: start,
          sectorCount,
          encoding: 0,
          payloadLength,
          fileOffset: number,
        };
      }),
    );
  });

/** The number of the extent that each sector comes from; 0 for zeros. */
function painted(segments: readonly IndexEntry[][], range = whole): number[] {
  const sectors = Array.from({ length: SECTORS }, () => 0);
  for (const entry of segments.flat()) {
    sectors.fill(
      entry.payloadLength && entry.number,
      entry.firstSector,
      entry.firstSector + entry.sectorCount,
    );
  }
  return sectors.map((number, at) => (at >= range.startSector && at < range.endSector ? number : 0));
}

function read(map: ExtentMap): number[] {
  const sectors = Array.from({ length: SECTORS }, () => 0);
  let last = 0;
  for (let at = 0; at < map.length; at += 1) {
    const run = map.run(at);
    expect(run.startSector).toBeGreaterThanOrEqual(last);
    expect(run.endSector).toBeGreaterThan(run.startSector);
    last = run.endSector;
    sectors.fill(run.payloadLength && run.number, run.startSector, run.endSector);
  }
  return sectors;
}

describe('an extent map', () => {
  it('gives every sector its newest extent, in whatever groups the layers are merged', () => {
    fc.assert(
      fc.property(layers, fc.boolean(), (segments, fromTheTop) => {
        const maps = segments.map((entries, at) => ExtentMap.ofSegment(entries.toReversed(), at, whole));
        const merged = fromTheTop
          ? maps.reduceRight((newer, older) => ExtentMap.merge(newer, older), ExtentMap.empty)
          : maps.reduce((older, newer) => ExtentMap.merge(newer, older), ExtentMap.empty);
        expect(read(merged)).toEqual(painted(segments));
      }),
      { numRuns: 1000 },
    );
  });

  it('holds nothing outside its range', () => {
    const range = fc.tuple(fc.nat(SECTORS), fc.nat(SECTORS));
    fc.assert(
      fc.property(layers, range, (segments, [a, b]) => {
        const range = { startSector: Math.min(a, b), endSector: Math.max(a, b) };
        const maps = segments.map((entries, at) => ExtentMap.ofSegment(entries, at, range));
        const merged = maps.reduce((older, newer) => ExtentMap.merge(newer, older), ExtentMap.empty);
        expect(read(merged)).toEqual(painted(segments, range));
        expect(merged.dataBytes()).toBe(painted(segments, range).filter((number) => number > 0).length * 512);
      }),
    );
  });

  it('lists its runs with bytes in the order of their places in the segments', () => {
    fc.assert(
      fc.property(layers, (segments) => {
        const maps = segments.map((entries, at) => ExtentMap.ofSegment(entries, at, whole));
        const map = maps.reduce((older, newer) => ExtentMap.merge(newer, older), ExtentMap.empty);
        const places = [...map.byPlace()].map((at) => map.run(at));
        expect(places.every((run) => run.payloadLength > 0)).toBe(true);
        const order = places.map((run) => run.segment * 1000 + run.fileOffset);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }),
    );
  });

  it('keeps neighbouring zeros as one run', () => {
    const zero = { disk: 0, sectorCount: 1, encoding: 0, payloadLength: 0 };
    const zeros = Array.from({ length: 50 }, (_, at) => ({
      ...zero,
      number: at,
      firstSector: at,
      fileOffset: at,
    }));
    expect(ExtentMap.ofSegment(zeros, 0, whole).length).toBe(1);
  });
});
