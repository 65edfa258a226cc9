import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sealFrame, sealZeroFrame } from './frame.ts';
import { generateDataKey } from './keys.ts';
import { recoverSegment } from './recover-segment.ts';
import { frameEnd } from './segment-format.ts';
import { openFileSink } from './segment-sink.ts';
import { SegmentWriter } from './segment-writer.ts';
import type { SealedSegment } from './segment-writer.ts';
import { openWholeSegment } from './segment-reader.ts';
import { FolderReplicaStore } from './folder-replica-store.ts';

const identity = { itemId: 'item', dataKey: generateDataKey(), sequence: 7 };
let folder: string;
let whole: Buffer;
let sealed: SealedSegment;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'secondsite-recover-'));
  const path = join(folder, 'whole.seg');
  const writer = await SegmentWriter.create(identity, await openFileSink(path));
  for (let at = 0; at < 5; at += 1) {
    await writer.append(
      sealFrame(writer.reserve(), { disk: 0, offsetBytes: at * 512, data: Buffer.alloc(512, at + 1) }),
    );
  }
  await writer.append(sealZeroFrame(writer.reserve(), { disk: 1, offsetBytes: 0, lengthBytes: 1024 * 512 }));
  sealed = await writer.finish();
  whole = await readFile(path);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileOf(bytes: Buffer): Promise<string> {
  const path = join(folder, 'torn.seg');
  await writeFile(path, bytes);
  return path;
}

/** What a reader says of a file that recovery finished. */
async function framesIn(path: string, segment: SealedSegment | undefined): Promise<number> {
  if (segment === undefined) return 0;
  const bytes = await readFile(path);
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(segment.sha256);
  expect(createHash('md5').update(bytes).digest('base64')).toBe(segment.md5);
  expect(bytes).toHaveLength(segment.sizeBytes);
  const log = { store: new FolderReplicaStore(folder), itemId: identity.itemId, dataKey: identity.dataKey };
  return (await openWholeSegment(log, segment, bytes)).entries.length;
}

describe('recovering a segment file', () => {
  it('keeps exactly the whole frames, wherever the file was cut', async () => {
    const { frames } = await recoverSegment({ ...identity, path: await fileOf(whole) });
    const ends = frames.map(frameEnd);
    for (let cut = 0; cut < whole.length; cut += 1) {
      const path = await fileOf(whole.subarray(0, cut));
      const recovered = await recoverSegment({ ...identity, path });
      const kept = ends.filter((end) => end <= cut).length;
      expect(recovered.frames).toHaveLength(kept);
      expect(recovered.segment === undefined).toBe(kept === 0);
      expect(recovered.framesBehindDamage).toBe(0);
      expect(await framesIn(path, recovered.segment)).toBe(kept);
    }
  });

  it('leaves a finished file as it is', async () => {
    const path = await fileOf(whole);
    expect((await recoverSegment({ ...identity, path })).segment).toEqual(sealed);
    expect((await readFile(path)).equals(whole)).toBe(true);
  });

  it('gives the same when a crash interrupts the recovery itself', async () => {
    const torn = whole.subarray(0, whole.length - 200);
    const path = await fileOf(torn);
    const first = await recoverSegment({ ...identity, path });
    const finished = await readFile(path);
    expect(await recoverSegment({ ...identity, path })).toEqual({ ...first, droppedBytes: 0 });
    for (let cut = frameEnd(first.frames.at(-1)!); cut < finished.length; cut += 1) {
      const again = await recoverSegment({ ...identity, path: await fileOf(finished.subarray(0, cut)) });
      expect(again.segment).toEqual(first.segment);
    }
  });

  it('drops a last write that reads as zeros or as garbage', async () => {
    const { frames } = await recoverSegment({ ...identity, path: await fileOf(whole) });
    for (const filler of [0, 0xff]) {
      const torn = Buffer.from(whole.subarray(0, frameEnd(frames[3]!)));
      torn.fill(filler, frames[3]!.fileOffset + 9);
      const recovered = await recoverSegment({ ...identity, path: await fileOf(torn) });
      expect(recovered.frames).toHaveLength(3);
      expect(recovered.droppedBytes).toBe(torn.length - frameEnd(frames[2]!));
    }
  });

  it('tells damage in the middle from a torn end', async () => {
    const { frames } = await recoverSegment({ ...identity, path: await fileOf(whole) });
    const damaged = Buffer.from(whole.subarray(0, frameEnd(frames.at(-1)!)));
    const at = frames[2]!.fileOffset + 30;
    damaged[at] = damaged[at]! ^ 1;
    const recovered = await recoverSegment({ ...identity, path: await fileOf(damaged) });
    expect(recovered).toMatchObject({ frames: { length: 2 }, framesBehindDamage: 3 });
  });

  it('tells a lost header from a file that was only begun', async () => {
    const headless = Buffer.from(whole);
    headless.fill(0, 0, 24);
    const recovered = await recoverSegment({ ...identity, path: await fileOf(headless) });
    expect(recovered).toMatchObject({ segment: undefined, framesBehindDamage: 6 });
    const begun = await recoverSegment({ ...identity, path: await fileOf(Buffer.alloc(200)) });
    expect(begun).toMatchObject({ segment: undefined, framesBehindDamage: 0 });
  });

  it('refuses to lose what was acknowledged', async () => {
    const { frames } = await recoverSegment({ ...identity, path: await fileOf(whole) });
    const acknowledgedBytes = frameEnd(frames[2]!);
    const torn = whole.subarray(0, acknowledgedBytes - 1);
    const recovery = recoverSegment({ ...identity, acknowledgedBytes, path: await fileOf(torn) });
    await expect(recovery).rejects.toMatchObject({
      defect: { kind: 'Altered', blob: 'log/000000000007.seg' },
    });
    expect((await readFile(join(folder, 'torn.seg'))).equals(torn)).toBe(true);
    const enough = await recoverSegment({
      ...identity,
      acknowledgedBytes,
      path: await fileOf(whole.subarray(0, acknowledgedBytes)),
    });
    expect(enough.frames).toHaveLength(3);
  });

  it("refuses another item's file, another segment's, and one sealed with another key", async () => {
    const path = await fileOf(whole);
    await expect(recoverSegment({ ...identity, itemId: 'other', path })).rejects.toMatchObject({
      defect: { kind: 'WrongItem' },
    });
    await expect(recoverSegment({ ...identity, sequence: 8, path })).rejects.toMatchObject({
      defect: { kind: 'WrongSequence' },
    });
    const otherKey = await recoverSegment({ ...identity, dataKey: generateDataKey(), path });
    expect(otherKey).toMatchObject({ segment: undefined, framesBehindDamage: 6 });
    expect((await readFile(path)).equals(whole)).toBe(true);
  });
});
