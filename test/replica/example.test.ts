import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openFrame } from '../../shared/replica/frame.ts';
import { segmentKeys } from '../../shared/replica/keys.ts';
import { decodePoint, genesisHead, hashPoint } from '../../shared/replica/point.ts';
import { decodeHeader, frameEnd } from '../../shared/replica/segment-format.ts';
import { openWholeSegment } from '../../shared/replica/segment-reader.ts';
import { verifyChain } from '../../shared/replica/verify-chain.ts';
import { MemoryReplicaStore } from './memory.ts';
import { restored } from './recorder.ts';

const text = readFileSync(new URL('../../docs/replica-log.md', import.meta.url), 'utf8');
const dataKey = Buffer.from(Array.from({ length: 32 }, (_, at) => at));
const salt = Buffer.from(Array.from({ length: 32 }, (_, at) => 0x20 + at));

function block(name: string): string {
  return new RegExp(`\`\`\`${name}\n([^]*?)\`\`\``).exec(text)![1]!;
}

/** The example's lines: where each begins, its bytes, and what they mean. */
const lines = block('segment')
  .trimEnd()
  .split('\n')
  .map((line) => {
    const [, offset, hex, meaning] = /^\s*(\d+) ([0-9a-f ]+?)\s*\| (.+)$/.exec(line)!;
    return { offset: Number(offset), bytes: Buffer.from(hex!.replaceAll(' ', ''), 'hex'), meaning: meaning! };
  });
const segment = Buffer.concat(lines.map((line) => line.bytes));
const point = Buffer.from(block('point'));

function value(meaning: string): Buffer {
  return lines.find((line) => line.meaning.includes(meaning))!.bytes;
}

describe('the worked example of docs/replica-log.md', () => {
  it('says rightly where each of its parts begins', () => {
    let offset = 0;
    for (const line of lines) {
      expect(line.offset).toBe(offset);
      offset += line.bytes.length;
    }
    expect(value('index begins at 178').readUInt32LE()).toBe(178);
    expect(value('payload: 28 bytes').readUInt32LE()).toBe(28);
    expect(value('header: 62 bytes').readUInt16LE()).toBe(62);
    expect(segment).toHaveLength(335);
  });

  it('is a segment that this code opens', async () => {
    expect(decodeHeader(segment)).toEqual({ itemId: 'item-1', sequence: 1, salt });
    const manifest = decodePoint(point, { itemId: 'item-1', dataKey, sequence: 1 });
    const log = { store: new MemoryReplicaStore(), itemId: 'item-1', dataKey };
    const opened = await openWholeSegment(log, manifest.segments[0]!, segment);
    expect(opened.entries).toMatchObject([
      { number: 0, disk: 0, firstSector: 0, sectorCount: 1, encoding: 2, fileOffset: 62 },
      { number: 1, disk: 0, firstSector: 8, sectorCount: 8, encoding: 0, fileOffset: 134 },
    ]);
    const [first] = opened.entries;
    const frameKey = segmentKeys(dataKey, { itemId: 'item-1', sequence: 1, salt }).frame;
    const data = openFrame({ sequence: 1, frameKey }, segment.subarray(first!.fileOffset, frameEnd(first!)));
    expect(data.equals(Buffer.alloc(512, 'secondsite '))).toBe(true);
  });

  it('is a whole log with the head it names', async () => {
    const store = new MemoryReplicaStore();
    await store.putIfAbsent('log/000000000001.seg', segment);
    await store.putIfAbsent('points/000000000001.json', point);
    const manifest = decodePoint(point, { itemId: 'item-1', dataKey, sequence: 1 });
    expect(manifest.previous).toBe(genesisHead('item-1').hash);
    expect(manifest.segments[0]!.sha256).toBe(createHash('sha256').update(segment).digest('hex'));
    expect(text).toContain(`Its hash is \`${hashPoint(point)}\``);
    const log = { store, itemId: 'item-1', dataKey };
    const head = { sequence: 1, hash: hashPoint(point) };
    expect(await verifyChain(log, { anchor: head, deep: true })).toMatchObject({
      defects: [],
      lastGoodPoint: 1,
    });
    const disk = Buffer.alloc(1024 * 1024);
    disk.fill('secondsite ', 0, 512);
    expect((await restored(log, head, 0)).equals(disk)).toBe(true);
  });
});
