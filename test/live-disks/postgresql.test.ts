import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiB } from '../../shared/bytes.ts';
import { LiveMachine } from './live-machine.ts';
import { whyNotHere } from './loop-disk.ts';
import { letThrough, Postgresql, whyNoPostgresql, type Bench } from './postgresql.ts';

/** The long form (`npm run test:faults`) makes more. */
const points = Math.ceil(Number(process.env['SECONDSITE_LIVE_POINTS'] ?? 6) / 2);
const reason = whyNotHere() ?? whyNoPostgresql();
const where = reason === undefined ? '' : ` (not here: ${reason})`;

/** What pgbench keeps equal: each transfer changes all four by the same amount. */
const sums = `SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
  (SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)`;

describe.skipIf(reason)(`points of a PostgreSQL at work${where}`, { timeout: 1_200_000 }, () => {
  let machine: LiveMachine;
  let database: Postgresql;
  let bench: Bench;

  beforeAll(() => {
    machine = new LiveMachine({ ext4: 320 * MiB, xfs: 320 * MiB });
    const { workshop, folders } = machine;
    letThrough(workshop.folder);
    database = Postgresql.create(folders[0]!, folders[1]!, join(workshop.folder, 'socket'));
    database.start();
    database.initializeBench();
    bench = database.bench();
  });

  afterAll(async () => {
    await bench.stop();
    database.stop();
    await machine.close();
  });

  it('are made one after the other while it works', async () => {
    for (let point = 1; point <= points; point += 1)
      expect((await machine.makePoint()).consistency).toBe('CrashConsistent');
    expect(bench.isAtWork).toBe(true);
  });

  it('each start, though data and log lie on two disks, and no sum is off', async () => {
    let before = 0;
    for (let point = 1; point <= points; point += 1) {
      const copies = await machine.restore(point);
      const folders = [copies[0]!.mount(), copies[1]!.mount(['-o', 'nouuid'])] as const;
      const copy = Postgresql.adopt(...folders, join(machine.workshop.folder, `socket-${point}`));
      copy.start();
      const [accounts, ...others] = copy.query(sums).split('|');
      expect(others).toEqual([accounts, accounts, accounts]);
      const transfers = Number(copy.query('SELECT count(*) FROM pgbench_history'));
      expect(transfers).toBeGreaterThanOrEqual(before);
      before = transfers;
      copy.stop();
      for (const disk of copies) disk.close();
    }
    expect(before).toBeGreaterThan(0);
  });
});
