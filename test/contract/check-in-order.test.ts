import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Storage, startStorage } from '../../local/storage/storage.ts';
import { applyDiscovery, findDiscovery } from '../../shared/discovery/apply-discovery.ts';
import {
  claimMachine,
  machineRange,
  pageOfMachines,
  releaseMachine,
} from '../../shared/discovery/machine.ts';
import { containerNameOf, fabricNameOf } from '../../shared/fabric/appliance.ts';
import { applyHeartbeat, findHeartbeat, heartbeatRows } from '../../shared/fabric/heartbeat.ts';
import { Table } from '../../shared/store/table.ts';
import { type CheckInBody } from '../../shared/wire/check-in.ts';
import { discoveredMachine, discovery, heartbeat } from '../integration/test-appliance.ts';

const vault = { subscriptionId: 's', resourceGroup: 'ContosoRG', vaultName: 'ContosoVMVault' };
const kindOf = <K extends CheckInBody['kind']>(body: CheckInBody, kind: K) => {
  if (body.kind !== kind) throw new Error(`not a ${kind}`);
  return body as Extract<CheckInBody, { kind: K }>;
};

describe('check-ins, in any order and any number of times', () => {
  let folder: string;
  let storage: Storage;
  let table: Table;
  let appliances = 0;
  /** An appliance that nothing is known of. */
  const fresh = () => ({
    vault,
    applianceId: `00000000-0000-4000-8000-${String((appliances += 1)).padStart(12, '0')}`,
  });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'secondsite-order-'));
    storage = await startStorage({ dataFolder: folder });
    table = new Table(storage.connectionString, 'secondsite');
  });

  afterAll(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Deliveries of check-ins (epoch, sequence): shuffled, some twice. */
  const deliveries = fc
    .uniqueArray(
      fc.record({ epoch: fc.integer({ min: 1, max: 3 }), sequence: fc.integer({ min: 1, max: 9 }) }),
      {
        minLength: 1,
        maxLength: 6,
        selector: ({ epoch, sequence }) => epoch * 100 + sequence,
      },
    )
    .chain((sent) =>
      fc.tuple(fc.constant(sent), fc.shuffledSubarray([...sent, ...sent], { minLength: sent.length })),
    )
    .filter(([sent, delivered]) => sent.every((order) => delivered.includes(order)))
    .map(([, delivered]) => delivered);

  it('leave the last heartbeat', async () => {
    await fc.assert(
      fc.asyncProperty(deliveries, async (orders) => {
        const appliance = fresh();
        const heartbeats = heartbeatRows(table);
        for (const order of orders) {
          const body = { ...kindOf(heartbeat(), 'heartbeat'), startedAtMs: rank(order) };
          await applyHeartbeat(heartbeats, appliance, {
            order,
            sentAtMs: 0,
            receivedAtMs: 0,
            heartbeat: body,
          });
        }
        expect((await findHeartbeat(table, appliance))?.heartbeat.startedAtMs).toBe(rank(lastOf(orders)));
      }),
      { numRuns: 20 },
    );
  });

  it("leave the last report's machines", async () => {
    await fc.assert(
      fc.asyncProperty(deliveries, async (orders) => {
        const appliance = fresh();
        for (const order of orders) await applyDiscovery(table, appliance, { order, ...reportOf(order) });
        expect(await machinesOf(appliance.applianceId)).toEqual(namesIn(lastOf(orders)));
        const kept = await findDiscovery(table, appliance, 'vc');
        expect(kept?.order).toEqual(lastOf(orders));
      }),
      { numRuns: 20 },
    );
  });

  it('keep a protected machine that vanished, until it is released', async () => {
    const appliance = fresh();
    const { applianceId } = appliance;
    const report = (machines: number[], sequence: number) =>
      applyDiscovery(table, appliance, {
        order: { epoch: 1, sequence },
        ...kindOf(
          discovery(
            'vc',
            machines.map((number) => discoveredMachine(number)),
          ),
          'discovery',
        ),
      });
    await report([1, 2], 1);
    const { rows } = await pageOfMachines(table, machineRange(vault, applianceId), {
      most: 10,
      continuation: undefined,
    });
    const first = rows.find(({ value }) => value.machine.name === 'web-1')!.value;
    const claim = {
      fabricName: fabricNameOf(applianceId),
      containerName: containerNameOf(applianceId),
      protectableItemName: first.itemName,
      protectedItemArmId: '/subscriptions/s/items/web-1',
    };
    await claimMachine(table, vault, claim);
    await claimMachine(table, vault, claim);
    await expect(
      claimMachine(table, vault, { ...claim, protectedItemArmId: '/subscriptions/s/items/other' }),
    ).rejects.toMatchObject({ fault: { code: 'Conflict' } });
    await report([2], 2);
    expect(await machinesOf(applianceId)).toEqual(['web-1', 'web-2']);
    await releaseMachine(table, vault, claim);
    await releaseMachine(table, vault, claim);
    expect(await machinesOf(applianceId)).toEqual(['web-2']);
  });

  it('tell machines apart that claim the same uuids', async () => {
    const appliance = fresh();
    const twins = [1, 2].map((number) =>
      discoveredMachine(7, { moref: `vm-${number}`, name: `twin-${number}` }),
    );
    for (const sequence of [1, 2]) {
      await applyDiscovery(table, appliance, {
        order: { epoch: 1, sequence },
        ...kindOf(discovery('vc', twins), 'discovery'),
      });
    }
    const { rows } = await pageOfMachines(table, machineRange(vault, appliance.applianceId), {
      most: 10,
      continuation: undefined,
    });
    expect(rows.map(({ value }) => value.sharesBiosUuid)).toEqual([true, true]);
  });

  it('take in 1,500 machines', async () => {
    const appliance = fresh();
    const machines = Array.from({ length: 1_500 }, (_, number) => discoveredMachine(number));
    await applyDiscovery(table, appliance, {
      order: { epoch: 1, sequence: 1 },
      ...kindOf(discovery('vc', machines), 'discovery'),
    });
    expect(await machinesOf(appliance.applianceId)).toHaveLength(1_500);
  });

  async function machinesOf(applianceId: string): Promise<string[]> {
    const names: string[] = [];
    let continuation: string | undefined;
    do {
      const page = await pageOfMachines(table, machineRange(vault, applianceId), {
        most: 1_000,
        continuation,
      });
      names.push(...page.rows.map(({ value }) => value.machine.name));
      continuation = page.continuation;
    } while (continuation !== undefined);
    return names.sort();
  }
});

function lastOf(orders: { epoch: number; sequence: number }[]): { epoch: number; sequence: number } {
  return orders.toSorted((a, b) => rank(b) - rank(a))[0]!;
}

function reportOf(order: { epoch: number; sequence: number }) {
  const machines = numbersOf(order).map((number) => discoveredMachine(number, { memoryMB: rank(order) }));
  return kindOf(discovery('vc', machines), 'discovery');
}

function rank(order: { epoch: number; sequence: number }): number {
  return order.epoch * 100 + order.sequence;
}

/** Which machines a report has: follows from its number, so that every report differs. */
function numbersOf({ epoch, sequence }: { epoch: number; sequence: number }): number[] {
  return [1, 2, 3, 4].filter((number) => (epoch * sequence + number) % 3 !== 0);
}

function namesIn(order: { epoch: number; sequence: number }): string[] {
  return numbersOf(order).map((number) => `web-${number}`);
}
