import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { advanceChain, readChain, writePoint } from '../../shared/replica/chain.ts';
import { generateDataKey } from '../../shared/replica/keys.ts';
import { pointName, segmentName } from '../../shared/replica/layout.ts';
import { genesisHead } from '../../shared/replica/point.ts';
import { ReplicaError } from '../../shared/replica/replica-error.ts';
import type { DefectKind } from '../../shared/replica/replica-error.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import { MemoryReplicaStore } from './memory.ts';
import { Recorder, restored } from './recorder.ts';
import type { Snapshot } from './recorder.ts';

const dataKey = generateDataKey();

/** Four points, a segment or two each; the blobs of every point are needed for the newest. */
async function recordItem(itemId: string, key: Buffer, seed: number): Promise<Recorder> {
  const recorder = new Recorder(itemId, key, [64]);
  for (let point = 0; point < 4; point += 1) {
    await recorder.write({ disk: 0, sector: point * 8, sectors: 2, content: 'text', seed: seed + point });
    await recorder.write({
      disk: 0,
      sector: point * 8 + 2,
      sectors: 1,
      content: 'noise',
      seed: seed + point,
    });
    if (point % 2 === 0) await recorder.cut();
    await recorder.write({ disk: 0, sector: 32 + point, sectors: 3, content: 'text', seed: seed + point });
    await recorder.write({ disk: 0, sector: 50, sectors: 2, content: 'zeros', seed });
    await recorder.point();
  }
  return recorder;
}

let item: Recorder;
let older: Recorder;
let sameKey: Recorder;
let stranger: Recorder;

beforeAll(async () => {
  item = await recordItem('item', dataKey, 10);
  older = await recordItem('item', dataKey, 20);
  sameKey = await recordItem('other', dataKey, 30);
  stranger = await recordItem('stranger', generateDataKey(), 40);
});

type Blobs = Map<string, Buffer>;

function logWith(change: (blobs: Blobs) => void): Recorder['log'] {
  const store = new MemoryReplicaStore();
  for (const [name, bytes] of item.store.blobs) store.blobs.set(name, bytes);
  change(store.blobs);
  return { store, itemId: 'item', dataKey };
}

function flip(blobs: Blobs, name: string, bit: number): void {
  const bytes = Buffer.from(blobs.get(name)!);
  bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7));
  blobs.set(name, bytes);
}

/** Verifies the log and restores every point of it: what is found by blob. No restore may ever give wrong bytes. */
async function findings(log: Recorder['log']): Promise<Record<string, DefectKind>> {
  const { defects, lastGoodPoint } = await verifyChain(log, { anchor: item.head, deep: true });
  const blobs = defects.map((defect) => defect.blob);
  for (const snapshot of item.snapshots) await expectRightOrRefused(log, snapshot, { blobs, lastGoodPoint });
  return Object.fromEntries(defects.map(({ blob, kind }) => [blob, kind]));
}

async function expectRightOrRefused(
  log: Recorder['log'],
  { head, disks }: Snapshot,
  { blobs, lastGoodPoint }: { blobs: string[]; lastGoodPoint: number },
): Promise<void> {
  try {
    expect((await restored(log, head, 0)).equals(disks[0]!)).toBe(true);
  } catch (error) {
    if (!(error instanceof ReplicaError)) throw error;
    expect(head.sequence).toBeGreaterThan(lastGoodPoint);
    expect(blobs).toContain(error.defect.blob);
    expect(error.message).toContain(error.defect.blob);
    expect(error.nearestGoodPoint ?? 0).toBeLessThan(error.defect.firstPoint!);
    const nearest = item.snapshots.find((snapshot) => snapshot.head.sequence === error.nearestGoodPoint);
    if (nearest !== undefined)
      expect((await restored(log, nearest.head, 0)).equals(nearest.disks[0]!)).toBe(true);
  }
}

const anyBlob = fc.nat(1000).map((at) => [...item.store.blobs.keys()][at % item.store.blobs.size]!);

describe('the verifier and the restorer', () => {
  it('find and name any flipped bit', async () => {
    await fc.assert(
      fc.asyncProperty(anyBlob, fc.nat(), async (name, drawn) => {
        const bit = drawn % (item.store.blobs.get(name)!.length * 8);
        const log = logWith((blobs) => flip(blobs, name, bit));
        expect(Object.keys(await findings(log))).toEqual([name]);
      }),
      { numRuns: 400 },
    );
  });

  it('find and name a flip in every byte of a segment and of a manifest', async () => {
    for (const name of [segmentName(3), pointName(2)]) {
      for (let byte = 0; byte < item.store.blobs.get(name)!.length; byte += 1) {
        const log = logWith((blobs) => flip(blobs, name, byte * 8 + (byte % 8)));
        const { defects } = await verifyChain(log, { anchor: item.head, deep: true });
        expect(defects.map((defect) => defect.blob)).toEqual([name]);
      }
    }
  });

  it('find and name any blob that is missing', async () => {
    for (const name of item.store.blobs.keys()) {
      expect(await findings(logWith((blobs) => blobs.delete(name)))).toEqual({ [name]: 'Missing' });
    }
  });

  it('find and name a blob cut at any length', async () => {
    await fc.assert(
      fc.asyncProperty(anyBlob, fc.nat(), async (name, drawn) => {
        const length = drawn % item.store.blobs.get(name)!.length;
        const log = logWith((blobs) => blobs.set(name, blobs.get(name)!.subarray(0, length)));
        expect(await findings(log)).toEqual({ [name]: 'Truncated' });
      }),
      { numRuns: 200 },
    );
  });

  it('find and name a blob that something was appended to', async () => {
    for (const name of item.store.blobs.keys()) {
      const log = logWith((blobs) => blobs.set(name, Buffer.concat([blobs.get(name)!, Buffer.from('x')])));
      expect(Object.keys(await findings(log))).toEqual([name]);
    }
  });

  it('find and name two segments that changed places', async () => {
    const [first, second] = [segmentName(1), segmentName(4)];
    const log = logWith((blobs) => {
      const kept = blobs.get(first)!;
      blobs.set(first, blobs.get(second)!).set(second, kept);
    });
    expect(await findings(log)).toEqual({ [first]: 'WrongSequence', [second]: 'WrongSequence' });
  });

  it('find and name two manifests that changed places', async () => {
    const [first, second] = [pointName(1), pointName(3)];
    const log = logWith((blobs) => {
      const kept = blobs.get(first)!;
      blobs.set(first, blobs.get(second)!).set(second, kept);
    });
    expect(await findings(log)).toEqual({ [first]: 'WrongSequence', [second]: 'WrongSequence' });
  });

  it("find and name a blob of another item, be it sealed with another key or with this item's", async () => {
    for (const thief of [sameKey, stranger]) {
      for (const name of item.store.blobs.keys()) {
        const log = logWith((blobs) => blobs.set(name, thief.store.blobs.get(name)!));
        expect(await findings(log)).toEqual({ [name]: 'WrongItem' });
      }
    }
  });

  it('find and name an older version of a blob, authentic in itself', async () => {
    for (const name of item.store.blobs.keys()) {
      const log = logWith((blobs) => blobs.set(name, older.store.blobs.get(name)!));
      expect(await findings(log)).toEqual({ [name]: 'Replaced' });
    }
  });

  it('see a cut tail by the anchored head, and only by it', async () => {
    const log = logWith((blobs) => blobs.delete(pointName(4)));
    expect(await findings(log)).toEqual({ [pointName(4)]: 'Missing' });
    expect((await verifyChain(log)).defects).toEqual([]);
  });

  it('see the whole log replaced by an older one, by the anchored head', async () => {
    const log = { ...item.log, store: older.store };
    const { defects, lastGoodPoint } = await verifyChain(log, { anchor: item.head });
    expect(defects).toMatchObject([{ blob: pointName(4), kind: 'Replaced' }]);
    expect(lastGoodPoint).toBe(3);
  });

  it('find all that is wrong, not only the first', async () => {
    const log = logWith((blobs) => {
      blobs.delete(segmentName(2));
      flip(blobs, segmentName(5), 800);
      blobs.delete(pointName(3));
    });
    const { defects, lastGoodPoint } = await verifyChain(log, { anchor: item.head, deep: true });
    const names = defects.map((defect) => defect.blob);
    expect(names).toEqual(
      [segmentName(2), pointName(3), segmentName(5)].filter((name) => names.includes(name)),
    );
    expect(names).toContain(segmentName(2));
    expect(names).toContain(pointName(3));
    expect(lastGoodPoint).toBe(0);
  });

  it('name the nearest point that does without the blob', async () => {
    const log = logWith((blobs) => blobs.delete(segmentName(6)));
    await expect(restored(log, item.head, 0)).rejects.toMatchObject({ nearestGoodPoint: 3 });
    await expect(restored(log, item.head, 0)).rejects.toThrow(
      'The nearest point that does not need it is 3.',
    );
    const first = logWith((blobs) => blobs.delete(segmentName(1)));
    await expect(restored(first, item.head, 0)).rejects.toMatchObject({ nearestGoodPoint: null });
  });

  it('offer no point that is not consistent', async () => {
    const recorder = new Recorder('item', dataKey, [64]);
    for (const consistency of ['CrashConsistent', 'NotConsistent', 'AppConsistent'] as const) {
      await recorder.write({ disk: 0, sector: 1, sectors: 1, content: 'text', seed: 1 });
      await recorder.point(consistency);
    }
    recorder.store.blobs.delete(segmentName(3));
    await expect(restored(recorder.log, recorder.head, 0)).rejects.toMatchObject({ nearestGoodPoint: 1 });
  });
});

describe('a chain', () => {
  it('is advanced from an anchored head to the newest point, once', async () => {
    const genesis = genesisHead('item');
    const first = await advanceChain(item.log, genesis, { maxPoints: 3 });
    expect(first.head).toEqual(item.snapshots[2]!.head);
    expect((await advanceChain(item.log, genesis, { maxSegments: 1 })).records).toHaveLength(1);
    const second = await advanceChain(item.log, first.head);
    expect(second).toMatchObject({ head: item.head, defect: undefined });
    expect(second.records).toHaveLength(1);
    expect(await advanceChain(item.log, item.head)).toEqual({
      head: item.head,
      records: [],
      defect: undefined,
    });
  });

  it('is not advanced over a point whose segment is missing, nor over one that does not follow the anchor', async () => {
    const missing = logWith((blobs) => blobs.delete(segmentName(4)));
    const stopped = await advanceChain(missing, genesisHead('item'));
    expect(stopped).toMatchObject({
      head: item.snapshots[1]!.head,
      defect: { blob: segmentName(4), kind: 'Missing', firstPoint: 3 },
    });
    const forked = logWith((blobs) => blobs.set(pointName(3), older.store.blobs.get(pointName(3))!));
    const refused = await advanceChain(forked, item.snapshots[1]!.head);
    expect(refused).toMatchObject({ records: [], defect: { blob: pointName(3), kind: 'Replaced' } });
  });

  it('is read up to a point that is tied to its recorded hash', async () => {
    const { head } = item.snapshots[2]!;
    expect(await readChain(item.log, head)).toHaveLength(3);
    const other = { sequence: 3, hash: older.snapshots[2]!.head.hash };
    await expect(readChain(item.log, other)).rejects.toMatchObject({
      defect: { blob: pointName(3), kind: 'Replaced' },
    });
  });

  it('takes the same point twice and refuses another one in its place', async () => {
    const recorder = new Recorder('item', dataKey, [64]);
    const draft = {
      head: genesisHead('item'),
      consistency: 'CrashConsistent' as const,
      time: new Date(0),
      disks: [{ number: 0, id: 'disk', sizeBytes: 512, sectorBytes: 512 as const }],
      segments: [],
    };
    const head = await writePoint(recorder.log, draft);
    expect(await writePoint(recorder.log, draft)).toEqual(head);
    await expect(writePoint(recorder.log, { ...draft, time: new Date(1) })).rejects.toThrow(
      'is another point',
    );
  });

  it('names a point that renumbers or shrinks a disk, or names a segment again', async () => {
    const disk = { number: 0, id: 'disk', sizeBytes: 1024, sectorBytes: 512 as const };
    const wrongs = [
      { ...disk, id: 'other' },
      { ...disk, number: 1 },
      { ...disk, sizeBytes: 512 },
    ];
    for (const wrong of wrongs) {
      const { log } = new Recorder('item', dataKey, [64]);
      const draft = { consistency: 'CrashConsistent' as const, time: new Date(0), segments: [] };
      const head = await writePoint(log, { ...draft, head: genesisHead('item'), disks: [disk] });
      await writePoint(log, { ...draft, head, disks: [wrong] });
      expect((await verifyChain(log)).defects).toMatchObject([{ blob: pointName(2), kind: 'Malformed' }]);
    }
  });
});
