import { createCipheriv, randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { KiB, MiB } from '../bytes.ts';
import {
  ENCODING,
  FRAME_OVERHEAD_BYTES,
  decodeFrameHeader,
  encodeFrameHeader,
  isAuthentic,
  isZero,
  openFrame,
  sealFrame,
  sealZeroFrame,
} from './frame.ts';
import { FramePool } from './frame-pool.ts';
import { hashBlocks } from './hash-blocks.ts';

const slot = { sequence: 3, number: 9, frameKey: randomBytes(32) };
const place = { disk: 1, offsetBytes: 4096 };

describe('a frame', () => {
  it('opens to the bytes it was sealed with, whatever they are', () => {
    const data = fc
      .tuple(fc.integer({ min: 1, max: 40 }), fc.constantFrom('zeros', 'text', 'noise'))
      .map(([sectors, kind]) => {
        if (kind === 'zeros') return Buffer.alloc(sectors * 512);
        return kind === 'text' ? Buffer.alloc(sectors * 512, 'a line of text ') : randomBytes(sectors * 512);
      });
    fc.assert(
      fc.property(data, (data) => {
        const frame = sealFrame(slot, { ...place, data });
        const opened = openFrame(slot, frame);
        expect(opened.equals(isZero(data) ? Buffer.alloc(0) : data)).toBe(true);
        expect(frame.length).toBeLessThanOrEqual(data.length + FRAME_OVERHEAD_BYTES);
      }),
    );
  });

  it('keeps zeros without bytes, and noise as it is', () => {
    const zeros = sealFrame(slot, { ...place, data: Buffer.alloc(64 * KiB) });
    expect(zeros).toHaveLength(FRAME_OVERHEAD_BYTES);
    expect(sealZeroFrame(slot, { ...place, lengthBytes: 64 * KiB }).equals(zeros)).toBe(true);
    const noise = sealFrame(slot, { ...place, data: randomBytes(64 * KiB) });
    expect(decodeFrameHeader(noise)?.encoding).toBe(ENCODING.stored);
    expect(decodeFrameHeader(sealFrame(slot, { ...place, data: Buffer.alloc(512, 7) }))?.encoding).toBe(
      ENCODING.zstd,
    );
  });

  it('does not open with any bit changed, nor in another segment', () => {
    const frame = sealFrame(slot, { ...place, data: Buffer.alloc(512, 'text') });
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const changed = Buffer.from(frame);
      changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7));
      expect(() => openFrame(slot, changed)).toThrow(/header|authenticate/);
      expect(isAuthentic(slot, changed)).toBe(false);
    }
    expect(isAuthentic(slot, frame)).toBe(true);
    expect(isAuthentic({ ...slot, sequence: 4 }, frame)).toBe(false);
    expect(isAuthentic({ ...slot, frameKey: randomBytes(32) }, frame)).toBe(false);
  });

  it('refuses extents that are not whole sectors, too long, empty or outside any disk', () => {
    for (const bytes of [0, 511, 513, 4 * MiB + 512]) {
      expect(() => sealFrame(slot, { ...place, data: Buffer.alloc(bytes, 1) })).toThrow(RangeError);
    }
    for (const wrong of [
      { offsetBytes: 100 },
      { offsetBytes: -512 },
      { disk: -1 },
      { disk: 65_536 },
      { offsetBytes: 2 ** 60 },
    ]) {
      expect(() => sealFrame(slot, { ...place, data: Buffer.alloc(512, 1), ...wrong })).toThrow(RangeError);
    }
  });

  it('does not unpack more than its header says, even where header and payload are authentic', () => {
    const packed = zstdCompressSync(Buffer.alloc(256 * MiB));
    const header = { number: 1, disk: 0, firstSector: 0, sectorCount: 8192, encoding: ENCODING.zstd };
    const head = encodeFrameHeader({ ...header, payloadLength: packed.length });
    const sequence = Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]);
    const nonce = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    const cipher = createCipheriv('aes-256-gcm', slot.frameKey, nonce).setAAD(
      Buffer.concat([head, sequence]),
    );
    const bomb = Buffer.concat([head, cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
    expect(isAuthentic(slot, bomb)).toBe(true);
    expect(() => openFrame(slot, bomb)).toThrow('larger than 4194304 bytes');
  });

  it('has a header that is read within bounds or not at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (random, hasMagic) => {
        const bytes = Buffer.from(random);
        if (hasMagic) bytes.write('FRAM', 0, 'latin1');
        const header = decodeFrameHeader(bytes);
        if (header === undefined) return;
        expect(header.sectorCount).toBeGreaterThan(0);
        expect(header.payloadLength).toBeLessThanOrEqual(4 * MiB);
        expect(encodeFrameHeader(header).equals(bytes.subarray(0, 28))).toBe(true);
      }),
    );
  });
});

describe('a frame pool', () => {
  const pool = new FramePool({ threads: 2 });
  afterAll(() => pool.close());

  it('seals and opens what this thread would, and takes the buffers', async () => {
    const jobs = Array.from({ length: 20 }, async (_, number) => {
      const data = Buffer.from(new ArrayBuffer(64 * KiB)).fill(`${number} `);
      const expected = Buffer.from(data);
      const own = { ...slot, number };
      const sealing = pool.seal(own, { ...place, data });
      const frame = await sealing;
      expect(data).toHaveLength(0);
      expect(frame.equals(sealFrame(own, { ...place, data: expected }))).toBe(true);
      return (await pool.open(own, frame)).equals(expected);
    });
    expect(new Set(await Promise.all(jobs))).toEqual(new Set([true]));
    expect(pool.pending).toBe(0);
  });

  it('leaves a view into a larger buffer alone', async () => {
    const large = Buffer.from(new ArrayBuffer(8 * KiB)).fill('x');
    const frame = await pool.seal(slot, { ...place, data: large.subarray(512, 1024) });
    expect(large).toHaveLength(8 * KiB);
    expect(openFrame(slot, frame).equals(large.subarray(512, 1024))).toBe(true);
  });

  it('seals and hashes from shared memory without taking it', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(128 * KiB)).fill(5);
    const frame = await pool.seal(slot, { ...place, data: shared });
    expect(openFrame(slot, frame).equals(shared)).toBe(true);
    expect((await pool.hash(shared)).equals(hashBlocks(shared))).toBe(true);
  });

  it('tells what is wrong with a job and goes on', async () => {
    await expect(pool.seal(slot, { ...place, data: Buffer.alloc(100) })).rejects.toThrow(
      'whole 512-byte sectors',
    );
    await expect(pool.open(slot, Buffer.alloc(100))).rejects.toThrow('header');
    expect(await pool.open(slot, sealFrame(slot, { ...place, data: Buffer.alloc(512, 1) }))).toHaveLength(
      512,
    );
  });

  it('rejects what is pending when it is closed, and everything after', async () => {
    const closing = new FramePool({ threads: 1 });
    const jobs = Array.from({ length: 5 }, () =>
      closing.seal(slot, { ...place, data: Buffer.alloc(512, 1) }),
    );
    const outcomes = Promise.allSettled(jobs);
    await closing.close();
    expect((await outcomes).every((outcome) => outcome.status === 'rejected')).toBe(true);
    await expect(closing.hash(Buffer.alloc(1))).rejects.toThrow('closed');
  });
});
