import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ProtectionSite, soon } from './protection-site.ts';
import { discoveredMachine } from './test-appliance.ts';

describe('retention, as operators see it', () => {
  let site: ProtectionSite;
  let log: string;

  beforeAll(async () => {
    site = await ProtectionSite.start([discoveredMachine(1)]);
    await site.createPolicy(0);
    await site.associate('map1');
    const protectedItemId = await site.protect('web-1');
    await site.replication.replicas.get(protectedItemId)?.point();
    await site.replication.replicas.get(protectedItemId)?.point();
    await vi.waitUntil(async () => (await site.points('web-1')).length === 3, soon);
    log = site.id('secondsite/protectedItems/web-1');
  });

  afterAll(() => site.close());

  async function get(path: string) {
    const { status, body } = await site.platform.request('GET', path);
    expect(status).toBe(200);
    return body as Record<string, never>;
  }

  it('keeps what is held, drops the rest by the timer, and tells what was dropped and the space used', async () => {
    const points = await site.points('web-1');
    const held = points[1]!.name!;
    const hold = `${log}/recoveryPoints/${held}/holds/drill-1`;
    const body = { properties: { holder: 'a drill', minutes: 60 } };
    expect(await site.platform.request('PUT', hold, { body })).toMatchObject({
      status: 200,
      body: { name: held, holds: [{ holdId: 'drill-1', holder: 'a drill' }] },
    });
    await site.platform.runTimer('retention');
    await vi.waitUntil(async () => (await site.points('web-1')).length === 2, soon);
    expect((await site.points('web-1')).map(({ name }) => name)).toEqual([points[0]!.name, held]);
    await vi.waitFor(async () => {
      expect(await get(`${log}/replicaLog`)).toMatchObject({
        anchor: { sequence: 3, compaction: { number: 1 } },
        retention: { problem: null, space: { storedBytes: expect.any(Number) as number } },
        points: [{ sequence: 3 }, { sequence: 2, holds: [{ holdId: 'drill-1' }] }],
      });
    }, soon);
    expect(await get(`${log}/retentionRuns`)).toMatchObject({
      value: [{ droppedPoints: [{ name: points[2]!.name, sequence: 1 }], compaction: { number: 1 } }],
      nextLink: null,
    });
    expect(await site.platform.request('DELETE', hold)).toMatchObject({ status: 204 });
    expect(await site.platform.request('DELETE', hold)).toMatchObject({ status: 204 });
  });

  it('refuses holds that it can not keep, by name', async () => {
    const [point] = await site.points('web-1');
    const holds = `${log}/recoveryPoints/${point!.name}/holds`;
    const body = { properties: { holder: 'a drill', minutes: 60 } };
    const wrongs = [
      { path: `${holds}/drill%201`, body, status: 400 },
      {
        path: `${holds}/drill-1`,
        body: { properties: { holder: 'a drill', minutes: 100_000 } },
        status: 400,
      },
      { path: `${log}/recoveryPoints/other/holds/drill-1`, body, status: 404 },
    ];
    for (const { path, body, status } of wrongs) {
      expect(await site.platform.request('PUT', path, { body })).toMatchObject({ status });
    }
    const asReader = { body, role: 'reader' as const };
    expect(await site.platform.request('PUT', `${holds}/drill-1`, asReader)).toMatchObject({ status: 403 });
  });

  it('tells churn per disk and RPO, hour by hour, of one item and of all', async () => {
    const { protectedItemId } = await site.replicaLog('web-1');
    for (const query of ['?protectedItem=web-1', `?protectedItem=${protectedItemId}`, '']) {
      const { value: churn } = (await get(site.id(`secondsite/churn${query}`))) as unknown as {
        value: { protectedItemId: string; points: number; disks: { changedBytes: number }[] }[];
      };
      expect(churn.every((hour) => hour.protectedItemId === protectedItemId)).toBe(true);
      expect(churn.reduce((sum, { points }) => sum + points, 0)).toBe(3);
      // The first point is the initial replication.
      const changed = churn.flatMap(({ disks }) => disks.map(({ changedBytes }) => changedBytes));
      expect(changed.reduce((sum, bytes) => sum + bytes, 0)).toBe(2 * 64 * 1024);
      const { value: rpo } = (await get(site.id(`secondsite/rpoHistory${query}`))) as unknown as {
        value: { points: number; maxRpoSeconds: number | null }[];
      };
      expect(rpo).toHaveLength(churn.length);
      expect(rpo.some(({ maxRpoSeconds }) => maxRpoSeconds !== null)).toBe(true);
    }
    const other = await site.platform.request('GET', site.id('secondsite/churn?protectedItem=nobody'));
    expect(other).toMatchObject({ status: 404 });
  });
});
