import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { generateDataKey } from '../../shared/replica/keys.ts';
import { compactionName, pointName } from '../../shared/replica/layout.ts';
import type { ChainHead } from '../../shared/replica/point.ts';
import { ReplicaError } from '../../shared/replica/replica-error.ts';
import type { DefectKind } from '../../shared/replica/replica-error.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import { KeptLog } from './kept-log.ts';
import { MemoryReplicaStore } from './memory.ts';
import { Recorder, restored } from './recorder.ts';

const dataKey = generateDataKey();

/** Ten points, of which four are kept in a record, and two after it; segments of several ages in each. */
async function record(itemId: string, key: Buffer, seed: number): Promise<KeptLog> {
  const log = new KeptLog(new Recorder(itemId, key, [400]));
  for (let at = 0; at < 10; at += 1) {
    for (const sector of [at * 8, 300, 100 + (at % 3) * 8]) {
      await log.recorder.write({ disk: 0, sector, sectors: 6, content: 'noise', seed: seed + at });
    }
    await log.recorder.write({ disk: 0, sector: 200, sectors: 3 + at, content: 'zeros', seed: 0 });
    await log.point(at !== 4);
    if (at === 5) {
      log.thin((one) => one % 2 === 1);
      await log.compactAll();
    }
  }
  log.thin((at) => at === 3);
  await log.compactAll();
  await log.collect();
  await log.collect();
  return log;
}

let item: KeptLog;
let older: KeptLog;
let other: KeptLog;

beforeAll(async () => {
  item = await record('item', dataKey, 100);
  older = await record('item', dataKey, 500);
  other = await record('other', generateDataKey(), 900);
});

function blobs(): Map<string, Buffer> {
  return item.recorder.store.blobs;
}

const anyBlob = fc.nat(10_000).map((at) => [...blobs().keys()][at % blobs().size]!);

function logWith(change: (blobs: Map<string, Buffer>) => void): Recorder['log'] {
  const store = new MemoryReplicaStore();
  for (const [name, bytes] of blobs()) store.blobs.set(name, bytes);
  change(store.blobs);
  return { store, itemId: 'item', dataKey };
}

/** Verifies, and restores every kept point: what is found by blob. No restore may ever give wrong bytes. */
async function findings(log: Recorder['log']): Promise<Record<string, DefectKind>> {
  const anchor = { ...item.recorder.head, compaction: item.compaction };
  const { defects, lastGoodPoint } = await verifyChain(log, { anchor, deep: true });
  for (const { head, disks } of item.kept.values()) {
    const outcome = await outcomeOf(log, head, disks[0]!);
    const isTold = defects.some(({ blob }) => blob === outcome) && head.sequence > lastGoodPoint;
    expect(outcome === 'right' || isTold).toBe(true);
  }
  return Object.fromEntries(defects.map(({ blob, kind }) => [blob, kind]));
}

/** Whether the disk comes back as it was; or the blob for which the restore was refused. */
async function outcomeOf(log: Recorder['log'], head: ChainHead, disk: Buffer): Promise<string> {
  try {
    const bytes = await restored(log, { ...head, compaction: item.compaction! }, 0);
    return bytes.equals(disk) ? 'right' : 'wrong';
  } catch (error) {
    if (error instanceof ReplicaError) return error.defect.blob;
    throw error;
  }
}

describe('the verifier and the restorer of a compacted log', () => {
  it('find nothing where nothing is wrong, in blobs of every kind', async () => {
    const kinds = new Set([...blobs().keys()].map((name) => name.split('/')[0]));
    expect(kinds).toEqual(new Set(['base', 'compactions', 'layers', 'log', 'points']));
    expect(await findings(logWith(() => {}))).toEqual({});
  });

  it('find and name any flipped bit', async () => {
    await fc.assert(
      fc.asyncProperty(anyBlob, fc.nat(), async (name, drawn) => {
        const bytes = Buffer.from(blobs().get(name)!);
        const bit = drawn % (bytes.length * 8);
        bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7));
        expect(Object.keys(await findings(logWith((all) => all.set(name, bytes))))).toEqual([name]);
      }),
      { numRuns: 300 },
    );
  });

  it('find and name any blob that is missing, cut short, or was appended to', async () => {
    for (const [name, bytes] of blobs()) {
      expect(await findings(logWith((all) => all.delete(name)))).toEqual({ [name]: 'Missing' });
      const cut = logWith((all) => all.set(name, bytes.subarray(0, bytes.length - 7)));
      expect(await findings(cut)).toEqual({ [name]: 'Truncated' });
      const longer = logWith((all) => all.set(name, Buffer.concat([bytes, Buffer.from('x')])));
      expect(Object.keys(await findings(longer))).toEqual([name]);
    }
  });

  it('find and name any two blobs of one kind that changed places', async () => {
    for (const kind of ['base/', 'log/', 'layers/', 'points/']) {
      const [first, second] = [...blobs().keys()].filter((name) => name.startsWith(kind));
      if (first === undefined || second === undefined) continue;
      const log = logWith((all) => {
        const kept = all.get(first)!;
        all.set(first, all.get(second)!).set(second, kept);
      });
      expect(new Set(Object.keys(await findings(log)))).toEqual(new Set([first, second]));
    }
  });

  it('find and name a blob of the same name from another item, or from another history of this one', async () => {
    const swaps = [
      { history: other, kind: 'WrongItem' },
      { history: older, kind: 'Replaced' },
    ];
    for (const { history, kind } of swaps) {
      for (const [name, bytes] of history.recorder.store.blobs) {
        if (!blobs().has(name)) continue;
        expect(await findings(logWith((all) => all.set(name, bytes)))).toEqual({ [name]: kind });
      }
    }
  });

  it('go by the anchored record, not by one that somebody puts behind it', async () => {
    const { number } = item.compaction!;
    const forged = older.recorder.store.blobs.get(compactionName(older.compaction!.number))!;
    const log = logWith((all) => all.set(compactionName(number + 1), forged));
    expect(await findings(log)).toEqual({});
  });

  it('prove the points after the record by it: the chain goes on from the point at which it ends', async () => {
    const log = logWith((all) => {
      for (const name of blobs().keys()) if (name.startsWith('points/')) all.delete(name);
      for (const [name, bytes] of older.recorder.store.blobs) {
        if (name.startsWith('points/')) all.set(name, bytes);
      }
    });
    expect(await findings(log)).toMatchObject({ [pointName(10)]: 'Replaced' });
  });

  it('need no anchor to tell what is altered', async () => {
    for (const [name, bytes] of blobs()) {
      const altered = Buffer.from(bytes);
      altered[20] = altered[20]! ^ 1;
      const { defects } = await verifyChain(
        logWith((all) => all.set(name, altered)),
        { deep: true },
      );
      expect(defects.map(({ blob }) => blob)).toEqual([name]);
    }
  });
});
