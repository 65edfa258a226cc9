import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { DiscoveredMachine } from '../../shared/wire/discovery.ts';
import { ProtectionSite, soon } from './protection-site.ts';
import { discoveredMachine, discovery } from './test-appliance.ts';

let site: ProtectionSite;
let machines: DiscoveredMachine[];

beforeAll(async () => {
  machines = [1, 2, 3].map((number) => discoveredMachine(number));
  site = await ProtectionSite.start(machines);
  await site.createPolicy();
  await site.associate('mapping');
  await site.protect('web-1');
});

afterAll(async () => site.close());

it('a machine that is renamed, moved and registered anew stays the item and stays protected', async () => {
  const before = await site.machine('web-1');
  const moved = change(1, {
    name: 'web-renamed',
    moref: 'vm-901',
    folder: 'Production/Web',
  });
  await tell(moved);
  await vi.waitUntil(async () => (await site.machine('web-renamed')) !== undefined, soon);
  const after = await site.machine('web-renamed');
  expect(after?.name).toBe(before?.name);
  expect(after?.properties?.protectionStatus).toBe('Protected');
  expect(await site.machine('web-1')).toBeUndefined();
  machines = moved;
});

it('a clone with uuids of its own is another machine', async () => {
  const clone = discoveredMachine(4, { name: 'clone-of-web-2' });
  await tell([...machines, clone]);
  await vi.waitUntil(async () => (await site.machine('clone-of-web-2')) !== undefined, soon);
  const names = (await site.machines()).map(({ name }) => name);
  expect(new Set(names).size).toBe(machines.length + 1);
});

it('a clone that kept the BIOS uuid is told apart by vCenter’s own uuid, and both say that they share it', async () => {
  const [, second] = machines;
  const twin = discoveredMachine(5, { name: 'twin-of-web-2', biosUuid: second?.biosUuid ?? '' });
  const before = await site.machine('web-2');
  await tell([...machines, twin]);
  await vi.waitUntil(async () => (await site.machine('twin-of-web-2')) !== undefined, soon);
  const [one, other] = [await site.machine('web-2'), await site.machine('twin-of-web-2')];
  expect(one?.name).toBe(before?.name);
  expect(other?.name).not.toBe(one?.name);
  for (const item of [one, other]) {
    expect(item?.properties?.protectionReadinessErrors?.join(' ')).toMatch(/BIOS/u);
  }
});

it('a machine that vanishes is forgotten, but a protected one stays and says so, until it is there again', async () => {
  await tell(machines.filter(({ name }) => name === 'web-3'));
  await vi.waitUntil(async () => (await site.machines()).length === 2, soon);
  const kept = await site.machine('web-renamed');
  expect(kept?.properties?.protectionReadinessErrors).not.toEqual([]);
  await tell(machines);
  await vi.waitUntil(async () => (await site.machines()).length === 3, soon);
  await vi.waitUntil(
    async () => (await site.machine('web-renamed'))?.properties?.protectionReadinessErrors?.length === 0,
    soon,
  );
});

function change(number: number, to: Partial<DiscoveredMachine>): DiscoveredMachine[] {
  return machines.map((machine, at) => (at === number - 1 ? { ...machine, ...to } : machine));
}

async function tell(now: DiscoveredMachine[]): Promise<void> {
  await site.appliance.checkIn(discovery('vc1', now));
}
