import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { ensureApplianceItem, removeApplianceItem } from '../../shared/fabric/appliance-item.ts';
import { ProgressKeeper } from '../../shared/protection/apply-progress.ts';
import { itemOfTest } from '../../shared/protection/item-of-test.ts';
import { changeItemPart, findItemRow, itemRef } from '../../shared/protection/item-row.ts';
import { changeItem, insertItem, removeItem } from '../../shared/protection/protected-item-store.ts';
import { type ProtectedItem } from '../../shared/protection/protected-item.ts';
import { moveAnchor } from '../../shared/recovery/recovery-point-store.ts';
import { Table } from '../../shared/store/table.ts';
import { type ItemProgress } from '../../shared/wire/check-in.ts';

const vault = { subscriptionId: 's', resourceGroup: 'ContosoRG', vaultName: 'ContosoVMVault' };

type Order = { epoch: number; sequence: number };

describe('progress of protected items', () => {
  let folder: string;
  let storage: Storage;
  let table: Table;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-progress-'));
    storage = await startStorage({ dataFolder: folder });
    table = new Table(storage.connectionString, 'secondsite');
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Items that an appliance of their own replicates. */
  async function freshItems(count: number): Promise<ProtectedItem[]> {
    const applianceId = randomUUID();
    const items = Array.from({ length: count }, (): ProtectedItem => {
      const protectedItemId = randomUUID();
      return { ...itemOfTest, applianceId, protectedItemId, itemName: `web-${protectedItemId}` };
    });
    await Promise.all(items.map((item) => protect(item)));
    return items;
  }

  async function protect(item: ProtectedItem): Promise<void> {
    await insertItem(table, vault, item);
    await ensureApplianceItem(table, { vault, applianceId: item.applianceId }, item);
  }

  function tell(keeper: ProgressKeeper, items: readonly ProtectedItem[], order: Order): Promise<void> {
    const [first] = items;
    const told = items.map(({ protectedItemId }) => progress(protectedItemId, rank(order)));
    return keeper.apply(
      { vault, applianceId: first?.applianceId ?? '' },
      { order, sentAtMs: 0, items: told },
    );
  }

  const cycleOf = async (item: ProtectedItem) =>
    (await findItemRow(table, vault, item))?.progress?.progress.cycle;

  /** Deliveries of check-ins (epoch, sequence): shuffled, some twice. */
  const deliveries = fc
    .uniqueArray(
      fc.record({ epoch: fc.integer({ min: 1, max: 3 }), sequence: fc.integer({ min: 1, max: 9 }) }),
      { minLength: 1, maxLength: 6, selector: rank },
    )
    .chain((sent) =>
      fc.tuple(fc.constant(sent), fc.shuffledSubarray([...sent, ...sent], { minLength: sent.length })),
    )
    .filter(([sent, delivered]) => sent.every((order) => delivered.includes(order)))
    .map(([, delivered]) => delivered);

  it('is the last one told, in whatever order and how often it comes', async () => {
    await fc.assert(
      fc.asyncProperty(deliveries, async (orders) => {
        const [first, second] = (await freshItems(2)) as [ProtectedItem, ProtectedItem];
        const keeper = new ProgressKeeper(table);
        // Odd check-ins tell of one item, even ones of two.
        for (const order of orders)
          await tell(keeper, order.sequence % 2 === 0 ? [first, second] : [first], order);
        const even = orders.filter(({ sequence }) => sequence % 2 === 0);
        expect(await cycleOf(first)).toBe(last(orders));
        expect(await cycleOf(second)).toBe(even.length > 0 ? last(even) : undefined);
      }),
      { numRuns: 20 },
    );
  });

  it('is the last one told though several instances of the app take it in at the same time', async () => {
    await fc.assert(
      fc.asyncProperty(deliveries, fc.infiniteStream(fc.nat(2)), async (orders, turns) => {
        const items = await freshItems(3);
        const instances = [0, 1, 2].map(() => new ProgressKeeper(table));
        await Promise.all(orders.map((order) => tell(instances[turns.next().value ?? 0]!, items, order)));
        for (const item of items) expect(await cycleOf(item)).toBe(last(orders));
      }),
      { numRuns: 20 },
    );
  });

  it('is in the table when it is acknowledged, however much comes at once', async () => {
    const items = await freshItems(150);
    const keeper = new ProgressKeeper(table);
    await Promise.all(
      Array.from({ length: 450 }, async (_, at) => {
        const item = items[at % items.length]!;
        const order = { epoch: 1, sequence: at + 1 };
        await tell(keeper, [item], order);
        expect(await cycleOf(item)).toBeGreaterThanOrEqual(rank(order));
      }),
    );
  });

  it('stands beside what others write into the same row meanwhile, and takes nothing of it away', async () => {
    const [item] = (await freshItems(1)) as [ProtectedItem];
    const ref = itemRef(vault, item);
    const keeper = new ProgressKeeper(table);
    const anchors = [1, 2, 3].map((sequence) => ({ sequence, hash: String(sequence) }));
    const moving = async () => {
      for (const [at, to] of anchors.entries()) {
        await moveAnchor(table, ref, { points: [], from: anchors[at - 1], to });
      }
    };
    const watching = async () => {
      for (const atMs of [1, 2, 3]) {
        await changeItemPart(table, ref, 'health', () => ({
          sinceMs: {},
          moved: { mark: String(atMs), atMs },
        }));
      }
    };
    const changing = async () => {
      for (const agentVersion of ['1', '2', '3']) {
        await changeItem(table, vault, item, (row) => ({ ...row, agentVersion }));
      }
    };
    const telling = async () => {
      for (const sequence of [1, 2, 3, 4, 5, 6]) await tell(keeper, [item], { epoch: 1, sequence });
    };
    await Promise.all([moving(), watching(), changing(), telling()]);
    expect(await findItemRow(table, vault, item)).toMatchObject({
      item: { ...item, agentVersion: '3' },
      anchor: { sequence: 3, hash: '3' },
      health: { moved: { mark: '3', atMs: 3 } },
      progress: { order: { epoch: 1, sequence: 6 } },
    });
  });

  it('of an item that is gone is passed over, and a new item of the same name gets none of it', async () => {
    const [item] = (await freshItems(1)) as [ProtectedItem];
    const keeper = new ProgressKeeper(table);
    await tell(keeper, [item], { epoch: 1, sequence: 1 });
    await removeApplianceItem(table, { vault, applianceId: item.applianceId }, item.protectedItemId);
    await removeItem(table, vault, item);
    await tell(keeper, [item], { epoch: 1, sequence: 2 });
    expect(await findItemRow(table, vault, item)).toBeUndefined();
    const again = { ...item, protectedItemId: randomUUID() };
    await protect(again);
    await tell(keeper, [item], { epoch: 1, sequence: 3 });
    expect(await cycleOf(again)).toBeUndefined();
    await tell(keeper, [again], { epoch: 1, sequence: 1 });
    await tell(keeper, [item], { epoch: 1, sequence: 4 });
    expect(await cycleOf(again)).toBe(rank({ epoch: 1, sequence: 1 }));
  });

  it('is taken from the appliance that replicates the item only', async () => {
    const [item] = (await freshItems(1)) as [ProtectedItem];
    await tell(new ProgressKeeper(table), [{ ...item, applianceId: randomUUID() }], {
      epoch: 1,
      sequence: 1,
    });
    expect(await cycleOf(item)).toBeUndefined();
  });

  it('fails alone where it can not be written', async () => {
    const items = await freshItems(3);
    const keeper = new ProgressKeeper(table);
    const disks = [{ diskId: 'x'.repeat(600_000), totalBytes: 1, processedBytes: 1 }];
    const outcomes = await Promise.allSettled(
      items.map(({ applianceId, protectedItemId }, at) => {
        const told = { ...progress(protectedItemId, 1), ...(at === 1 && { disks }) };
        return keeper.apply(
          { vault, applianceId },
          { order: { epoch: 1, sequence: 1 }, sentAtMs: 0, items: [told] },
        );
      }),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await Promise.all(items.map(cycleOf))).toEqual([1, undefined, 1]);
  });

  it('may become shorter', async () => {
    const [item] = (await freshItems(1)) as [ProtectedItem];
    const keeper = new ProgressKeeper(table);
    for (const [at, count] of [256, 1, 200, 0].entries()) {
      const disks = Array.from({ length: count }, (_, number) => ({
        diskId: `${number}`.padEnd(200, 'x'),
        totalBytes: 1,
        processedBytes: 1,
      }));
      const { applianceId, protectedItemId } = item;
      await keeper.apply(
        { vault, applianceId },
        {
          order: { epoch: 1, sequence: at + 1 },
          sentAtMs: 0,
          items: [{ ...progress(protectedItemId, 1), disks }],
        },
      );
      const row = await findItemRow(table, vault, item);
      expect(row?.progress?.progress.disks).toEqual(disks);
    }
  });
});

function last(orders: readonly Order[]): number {
  return Math.max(...orders.map(rank));
}

function rank({ epoch, sequence }: Order): number {
  return epoch * 100_000 + sequence;
}

function progress(protectedItemId: string, cycle: number): ItemProgress {
  return {
    protectedItemId,
    phase: 'Delta',
    cycle,
    disks: [],
    uploadedBytes: 0,
    bytesPerSecond: 0,
    startedAtMs: 0,
  };
}
