import { KiB, MiB } from '../../../shared/bytes.ts';

/** What is followed: a write of one sector makes so many bytes dirty. */
export const dirtyPageBytes = 4 * KiB;
/** Part of a disk with a bitmap of its own, made when it first gets dirty: 4 KiB. */
const chunkBytes = 128 * MiB;
const wordsPerChunk = chunkBytes / dirtyPageBytes / 32;
const pagesPerChunk = wordsPerChunk * 32;

/** Bytes of a disk. */
export interface Extent {
  offsetBytes: number;
  lengthBytes: number;
}

/**
 * Which pages of a disk are dirty: a bit for 4 KiB, with memory only where something is: 0.003 % of what is touched.
 */
export class DirtyMap {
  readonly #sizeBytes: number;
  #chunks = new Map<number, Uint32Array>();
  #pages = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  get isEmpty(): boolean {
    return this.#pages === 0;
  }

  /** Whole pages; the disk's last one may be shorter. */
  get dirtyBytes(): number {
    return this.#pages * dirtyPageBytes;
  }

  /** Marks every page that the extent touches; what lies outside the disk is left out. */
  add(offsetBytes: number, lengthBytes: number): void {
    const from = Math.floor(Math.max(offsetBytes, 0) / dirtyPageBytes);
    const to = Math.ceil(Math.min(offsetBytes + lengthBytes, this.#sizeBytes) / dirtyPageBytes);
    for (let page = from; page < to;) {
      const chunk = Math.floor(page / pagesPerChunk);
      const end = Math.min(to, (chunk + 1) * pagesPerChunk);
      this.#set(this.#chunk(chunk), page - chunk * pagesPerChunk, end - chunk * pagesPerChunk);
      page = end;
    }
  }

  /** Marks everything that is marked in another map. */
  addAll(other: DirtyMap): void {
    for (const [at, from] of other.#chunks) {
      const into = this.#chunk(at);
      for (let word = 0; word < wordsPerChunk; word += 1) this.#or(into, word, from[word] ?? 0);
    }
  }

  /** Gives everything that is marked as a map of its own, and begins anew. */
  take(): DirtyMap {
    const taken = new DirtyMap(this.#sizeBytes);
    taken.#chunks = this.#chunks;
    taken.#pages = this.#pages;
    this.clear();
    return taken;
  }

  clear(): void {
    this.#chunks = new Map();
    this.#pages = 0;
  }

  /** The marked extents in the disk's order, neighbours joined, none longer than asked (a multiple of a page). */
  *extents(longestBytes = Infinity): Generator<Extent, void, undefined> {
    let open: Extent | undefined;
    for (const { offsetBytes, lengthBytes } of this.#runs()) {
      if (open && open.offsetBytes + open.lengthBytes === offsetBytes) open.lengthBytes += lengthBytes;
      else {
        if (open) yield* this.#cut(open, longestBytes);
        open = { offsetBytes, lengthBytes };
      }
    }
    if (open) yield* this.#cut(open, longestBytes);
  }

  *#cut({ offsetBytes, lengthBytes }: Extent, longestBytes: number): Generator<Extent, void, undefined> {
    const end = Math.min(offsetBytes + lengthBytes, this.#sizeBytes);
    for (let at = offsetBytes; at < end; at += longestBytes)
      yield { offsetBytes: at, lengthBytes: Math.min(longestBytes, end - at) };
  }

  *#runs(): Generator<Extent, void, undefined> {
    for (const [at, bits] of [...this.#chunks].sort(([one], [other]) => one - other)) {
      let start: number | undefined;
      for (let page = 0; page <= pagesPerChunk; page += 1) {
        const word = page < pagesPerChunk ? (bits[page >>> 5] ?? 0) : 0;
        if (word === 0 && start === undefined && (page & 31) === 0) {
          page += 31; // a whole word of clean pages
          continue;
        }
        const isDirty = ((word >>> (page & 31)) & 1) === 1;
        if (isDirty) start ??= page;
        else if (start !== undefined) {
          yield {
            offsetBytes: at * chunkBytes + start * dirtyPageBytes,
            lengthBytes: (page - start) * dirtyPageBytes,
          };
          start = undefined;
        }
      }
    }
  }

  #chunk(at: number): Uint32Array {
    let chunk = this.#chunks.get(at);
    if (!chunk) this.#chunks.set(at, (chunk = new Uint32Array(wordsPerChunk)));
    return chunk;
  }

  #set(chunk: Uint32Array, from: number, to: number): void {
    for (let page = from; page < to;) {
      const bit = page & 31;
      const count = Math.min(32 - bit, to - page);
      const mask = count === 32 ? 0xffff_ffff : ((2 ** count - 1) << bit) >>> 0;
      this.#or(chunk, page >>> 5, mask);
      page += count;
    }
  }

  #or(chunk: Uint32Array, word: number, mask: number): void {
    const before = chunk[word] ?? 0;
    const after = (before | mask) >>> 0;
    if (after === before) return;
    chunk[word] = after;
    this.#pages += bitsIn(after) - bitsIn(before);
  }
}

function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555);
  const quads = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((quads + (quads >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
