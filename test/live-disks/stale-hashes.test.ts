import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DirectReader } from '../../appliance/mobility-agent/linux/direct-reader.ts';
import { StaleHashes } from '../../appliance/mobility-agent/linux/stale-hashes.ts';
import { MiB } from '../../shared/bytes.ts';
import { HASH_BLOCK_BYTES as blockBytes, hashBlocks } from '../../shared/replica/hash-blocks.ts';
import { whyNotHere, Workshop, type LoopDisk } from './loop-disk.ts';

const reason = whyNotHere();
const where = reason === undefined ? '' : ` (not here: ${reason})`;

describe.skipIf(reason)(`hashes of blocks around copied pages${where}`, { timeout: 300_000 }, () => {
  const signal = new AbortController().signal;
  let workshop: Workshop;
  let disk: LoopDisk;
  let reader: DirectReader;
  let hashes: StaleHashes;

  beforeEach(() => {
    workshop = new Workshop();
    disk = workshop.disk('disk', 4 * MiB + 512);
    reader = new DirectReader(disk.path);
    hashes = new StaleHashes(4 * MiB + 512);
  });
  afterEach(async () => {
    await reader.close();
    workshop.close();
  });

  function confirmed(): Map<number, Uint8Array> {
    const found = new Map<number, Uint8Array>();
    hashes.confirm((offsetBytes, hash) => found.set(offsetBytes, hash));
    return new Map([...found].toSorted(([one], [other]) => one - other));
  }

  it('are known at the point after the one that they were read after, the shorter last block’s too', async () => {
    hashes.forget(blockBytes + 8192, 4096);
    hashes.forget(4 * MiB, 512);
    expect(confirmed().size).toBe(0);
    await hashes.refresh(reader, signal);
    const zeros = new Uint8Array(hashBlocks(Buffer.alloc(blockBytes)));
    expect([...confirmed()].map(([at, hash]) => [at, new Uint8Array(hash)])).toEqual([
      [blockBytes, zeros],
      [4 * MiB, zeros],
    ]);
    expect(confirmed().size).toBe(0);
  });

  it('are not believed when the block was copied again meanwhile', async () => {
    hashes.forget(0, 3 * blockBytes);
    await hashes.refresh(reader, signal);
    hashes.forget(2 * blockBytes - 4096, 4096);
    expect([...confirmed().keys()]).toEqual([0, 2 * blockBytes]);
  });

  it('are all told by a full compare', async () => {
    hashes.forget(0, blockBytes);
    await hashes.refresh(reader, signal);
    hashes.clear();
    expect(confirmed().size).toBe(0);
  });
});
