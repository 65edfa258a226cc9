/**
 * Which frame holds each sector of a disk: runs in ascending order, without overlaps.
 * Kept in typed arrays, 32 bytes a run, because a large disk has millions. A map is never changed; merging makes a new one.
 */
import { SECTOR_BYTES } from './layout.ts';
import type { IndexEntry } from './segment-format.ts';

/** Part of a disk in sectors, the end exclusive. */
export interface SectorRange {
  startSector: number;
  endSector: number;
}

/** A stretch of a disk whose bytes come from one frame, or are zeros where `payloadLength` is 0. */
export interface Run extends SectorRange {
  /** Position of the frame's segment in the list that the map's maker keeps. */
  segment: number;
  /** Where the frame begins in its segment, how long its payload is, and its number. */
  fileOffset: number;
  payloadLength: number;
  number: number;
}

/** Places of a run's values in the frames column. */
const SEGMENT = 0;
const FILE_OFFSET = 1;
const PAYLOAD_LENGTH = 2;
const NUMBER = 3;
const FIELDS = 4;

export class ExtentMap {
  static readonly empty = new ExtentMap(0);
  #starts: Float64Array;
  #ends: Float64Array;
  #frames: Uint32Array;
  #length = 0;

  private constructor(capacity: number) {
    this.#starts = new Float64Array(capacity);
    this.#ends = new Float64Array(capacity);
    this.#frames = new Uint32Array(capacity * FIELDS);
  }

  /** The map of one segment's frames of one disk, clipped to a range. Of overlapping frames the higher number is newer. */
  static ofSegment(entries: readonly IndexEntry[], segment: number, range: SectorRange): ExtentMap {
    const runs: Run[] = [];
    for (const { firstSector, sectorCount, fileOffset, payloadLength, number } of entries) {
      const startSector = Math.max(firstSector, range.startSector);
      const endSector = Math.min(firstSector + sectorCount, range.endSector);
      if (startSector < endSector)
        runs.push({ startSector, endSector, segment, fileOffset, payloadLength, number });
    }
    const ascending = runs.toSorted((a, b) => a.startSector - b.startSector);
    const areApart = ascending.every((run, at) => (ascending[at - 1]?.endSector ?? 0) <= run.startSector);
    return areApart
      ? ExtentMap.#of(ascending)
      : ExtentMap.#fold(runs.toSorted((a, b) => a.number - b.number));
  }

  /** The map of both, where the newer hides the older. */
  static merge(newer: ExtentMap, older: ExtentMap): ExtentMap {
    if (newer.length === 0) return older;
    if (older.length === 0) return newer;
    // Each newer run cuts at most one older run in two.
    const merged = new ExtentMap(2 * newer.length + older.length);
    let at = 0;
    for (let under = 0; under < older.length; under += 1) {
      let from = older.startOf(under);
      const end = older.endOf(under);
      for (; at < newer.length && newer.startOf(at) < end; at += 1) {
        merged.#push(older, under, { startSector: from, endSector: newer.startOf(at) });
        from = Math.max(from, newer.endOf(at));
        if (newer.endOf(at) > end) break; // it hides the next older run too
        merged.#copy(newer, at);
      }
      merged.#push(older, under, { startSector: from, endSector: end });
    }
    for (; at < newer.length; at += 1) merged.#copy(newer, at);
    return merged.#trim();
  }

  get length(): number {
    return this.#length;
  }

  startOf(at: number): number {
    return this.#starts[at] ?? Number.NaN;
  }

  endOf(at: number): number {
    return this.#ends[at] ?? Number.NaN;
  }

  run(at: number): Run {
    return {
      startSector: this.startOf(at),
      endSector: this.endOf(at),
      segment: this.#field(at, SEGMENT),
      fileOffset: this.#field(at, FILE_OFFSET),
      payloadLength: this.#field(at, PAYLOAD_LENGTH),
      number: this.#field(at, NUMBER),
    };
  }

  /** Positions of the runs that have bytes, in the order in which the segments hold their frames. */
  byPlace(): Uint32Array {
    const positions = new Uint32Array(this.length);
    let count = 0;
    for (let at = 0; at < this.length; at += 1) {
      if (this.#field(at, PAYLOAD_LENGTH) > 0) positions[count++] = at;
    }
    const order = (a: number, b: number): number =>
      this.#field(a, SEGMENT) - this.#field(b, SEGMENT) ||
      this.#field(a, FILE_OFFSET) - this.#field(b, FILE_OFFSET) ||
      a - b;
    return positions.slice(0, count).sort(order);
  }

  /** The runs that a predicate picks, by position. */
  pick(isWanted: (at: number) => boolean): ExtentMap {
    const picked = new ExtentMap(this.length);
    for (let at = 0; at < this.length; at += 1) {
      if (isWanted(at)) picked.#append(this.run(at), this.#frames.subarray(at * FIELDS, (at + 1) * FIELDS));
    }
    return picked.#trim();
  }

  /** Bytes of the disk that come from frames with a payload. */
  dataBytes(): number {
    let sectors = 0;
    for (let at = 0; at < this.length; at += 1) {
      if (this.#field(at, PAYLOAD_LENGTH) > 0) sectors += this.endOf(at) - this.startOf(at);
    }
    return sectors * SECTOR_BYTES;
  }

  static #of(ascending: readonly Run[]): ExtentMap {
    const map = new ExtentMap(ascending.length);
    for (const run of ascending) {
      map.#append(run, Uint32Array.of(run.segment, run.fileOffset, run.payloadLength, run.number));
    }
    return map.#trim();
  }

  static #fold(oldestFirst: readonly Run[]): ExtentMap {
    if (oldestFirst.length <= 1) return ExtentMap.#of(oldestFirst);
    const half = oldestFirst.length >> 1;
    return ExtentMap.merge(
      ExtentMap.#fold(oldestFirst.slice(half)),
      ExtentMap.#fold(oldestFirst.slice(0, half)),
    );
  }

  #field(at: number, field: number): number {
    return this.#frames[at * FIELDS + field] ?? 0;
  }

  #copy(from: ExtentMap, at: number): void {
    this.#push(from, at, { startSector: from.startOf(at), endSector: from.endOf(at) });
  }

  #push(from: ExtentMap, at: number, range: SectorRange): void {
    if (range.startSector < range.endSector)
      this.#append(range, from.#frames.subarray(at * FIELDS, (at + 1) * FIELDS));
  }

  #append({ startSector, endSector }: SectorRange, frame: Uint32Array): void {
    const last = this.#length - 1;
    const areZeros = frame[PAYLOAD_LENGTH] === 0 && last >= 0 && this.#field(last, PAYLOAD_LENGTH) === 0;
    if (areZeros && this.#ends[last] === startSector) {
      this.#ends[last] = endSector;
      return;
    }
    this.#starts[this.#length] = startSector;
    this.#ends[this.#length] = endSector;
    this.#frames.set(frame, this.#length * FIELDS);
    this.#length += 1;
  }

  #trim(): this {
    if (this.#length === this.#starts.length) return this;
    this.#starts = this.#starts.slice(0, this.#length);
    this.#ends = this.#ends.slice(0, this.#length);
    this.#frames = this.#frames.slice(0, this.#length * FIELDS);
    return this;
  }
}
