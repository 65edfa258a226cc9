import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sealFrame } from './frame.ts';
import { generateDataKey } from './keys.ts';
import { recoverSegment } from './recover-segment.ts';
import { MemorySink, openFileSink } from './segment-sink.ts';
import type { SegmentSink } from './segment-sink.ts';
import { SegmentWriter } from './segment-writer.ts';
import type { SegmentIdentity } from './segment-writer.ts';

const identity: SegmentIdentity = { itemId: 'item', dataKey: generateDataKey(), sequence: 1 };
const data = Buffer.alloc(512, 1);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'secondsite-writer-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A disk with so much room and no more. */
class SmallDisk extends MemorySink implements SegmentSink {
  #roomBytes: number;

  constructor(roomBytes: number) {
    super();
    this.#roomBytes = roomBytes;
  }

  override append(pieces: readonly Uint8Array[]): Promise<void> {
    this.#roomBytes -= pieces.reduce((sum, piece) => sum + piece.length, 0);
    return this.#roomBytes < 0 ? Promise.reject(new Error('no space left')) : super.append(pieces);
  }
}

describe('a segment writer', () => {
  it('takes frames in any order, and keeps every number once', async () => {
    const writer = await SegmentWriter.create(identity, new MemorySink());
    const frames = [0, 1, 2].map((at) =>
      sealFrame(writer.reserve(), { disk: 0, offsetBytes: at * 512, data }),
    );
    await Promise.all(frames.toReversed().map((frame) => writer.append(frame)));
    await expect(writer.append(frames[1]!)).rejects.toThrow('in the segment already');
    expect((await writer.finish()).counts).toEqual({
      frames: 3,
      zeroFrames: 0,
      dataSectors: 3,
      zeroSectors: 0,
    });
  });

  it('refuses a number it has not given out, and bytes that are no frame', async () => {
    const writer = await SegmentWriter.create(identity, new MemorySink());
    const slot = { ...writer.reserve(), number: 5 };
    await expect(writer.append(sealFrame(slot, { disk: 0, offsetBytes: 0, data }))).rejects.toThrow(
      'not reserved',
    );
    await expect(writer.append(Buffer.alloc(100))).rejects.toThrow('not a sealed frame');
  });

  it('takes nothing after it is finished', async () => {
    const writer = await SegmentWriter.create(identity, new MemorySink());
    const frame = sealFrame(writer.reserve(), { disk: 0, offsetBytes: 0, data });
    await writer.finish();
    await expect(writer.append(frame)).rejects.toThrow('finished');
    await expect(writer.finish()).rejects.toThrow('finished');
  });

  it('never seals two segments with one key, not even of the same sequence', async () => {
    const [a, b] = [new MemorySink(), new MemorySink()];
    for (const sink of [a, b]) {
      const writer = await SegmentWriter.create(identity, sink);
      await writer.append(sealFrame(writer.reserve(), { disk: 0, offsetBytes: 0, data }));
      await writer.finish();
    }
    expect(a.bytes().equals(b.bytes())).toBe(false);
  });

  it('promises nothing more once the disk is full, and what was acknowledged can be recovered', async () => {
    const sink = new SmallDisk(250);
    const writer = await SegmentWriter.create(identity, sink);
    const frames = Array.from({ length: 6 }, () =>
      sealFrame(writer.reserve(), { disk: 0, offsetBytes: 0, data }),
    );
    await writer.append(frames[0]!);
    await writer.sync();
    const outcomes = [];
    for (const frame of frames.slice(1))
      outcomes.push(await writer.append(frame).catch((error: Error) => error.message));
    expect(outcomes.at(-1)).toBe('no space left');
    await expect(writer.sync()).rejects.toThrow('no space left');
    await expect(writer.finish()).rejects.toThrow('no space left');
    await writer.abandon();
    const path = join(folder, 'full.seg');
    await writeFile(path, sink.bytes());
    const acknowledged = 1 + outcomes.filter((outcome) => outcome === undefined).length;
    expect((await recoverSegment({ ...identity, path })).frames).toHaveLength(acknowledged);
  });

  it('makes a file only its owner can read, and never writes over one', async () => {
    const path = join(folder, 'new.seg');
    const writer = await SegmentWriter.create(identity, await openFileSink(path));
    await Promise.all([writer.sync(), writer.sync(), writer.sync()]);
    await writer.abandon();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await expect(openFileSink(path)).rejects.toMatchObject({ code: 'EEXIST' });
  });

  it('refuses an item id or a sequence that the format cannot hold', async () => {
    for (const wrong of [{ itemId: '' }, { itemId: 'x'.repeat(1025) }, { sequence: 0 }, { sequence: 1e12 }]) {
      const created = SegmentWriter.create({ ...identity, ...wrong }, new MemorySink());
      await expect(created).rejects.toThrow(RangeError);
    }
  });
});
