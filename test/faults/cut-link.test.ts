import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { askAppliance } from '../../cli/control-client.ts';
import { MiB } from '../../shared/bytes.ts';
import type { Finding } from '../../shared/wire/appliance-control.ts';
import { whyNoNetworks } from '../network/namespaces.ts';
import { custom, World } from '../network/world.ts';
import { isLong } from './long.ts';

const reason = whyNoNetworks();
const where = reason === undefined ? '' : ` (not here: ${reason})`;
const cutSeconds = isLong ? 600 : 20;
const diskBytes = 256 * MiB;
/** The process server keeps 256 MiB of its cache disk free: what is left is less than the disk needs in the log. */
const cacheBytes = 320 * MiB;
const soon = { timeout: 180_000, interval: 500 };

describe.skipIf(reason)(
  `a site whose cable is cut${where}`,
  { timeout: cutSeconds * 1_000 + 600_000 },
  () => {
    let world: World;
    let cache: string;

    beforeEach(async () => {
      world = await World.create();
    });

    afterEach(async () => {
      await world.site.close();
      execFileSync('umount', [cache]);
      await world.close();
    });

    test(`for ${cutSeconds} s while a disk is copied that its cache can't hold says what is wrong and loses nothing`, async () => {
      const { networks, road, site } = world;
      const server = await world.buildSite(custom, diskBytes, mountCache);
      networks.setRate('8mbit');
      const machine = await world.protect(server);
      await finds(/^replication /u, 'Failed', /cache|spool/u);
      networks.setLink('down');
      const cut = delay(cutSeconds * 1_000);
      await finds('check-ins', 'Failed', /not taken since 20/u);
      await cut;
      networks.setRate();
      networks.setLink('up');
      await finds('check-ins', 'Passed', /0 check-ins wait/u);
      await vi.waitUntil(async () => (await road.points(machine)).length > 0, soon);
      await road.watchFinalize(machine);
      const { sequence } = await road.makePoint(machine);
      await world.prove(machine, sequence);
      await finds(/^replication /u, 'Passed', /^Waiting$/u);
      expect((await askAppliance(site.applianceFolder, { op: 'status' })).outboxWaiting).toBe(0);
    });

    /** A disk of its own for the process server, as the prerequisites want it, only small. */
    function mountCache(applianceFolder: string): void {
      cache = join(applianceFolder, 'process-server');
      mkdirSync(cache, { recursive: true, mode: 0o700 });
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${cacheBytes},mode=700`, 'tmpfs', cache]);
    }

    async function finds(
      subject: string | RegExp,
      outcome: Finding['outcome'],
      found: RegExp,
    ): Promise<Finding> {
      const isIt = (one: Finding): boolean =>
        (typeof subject === 'string' ? one.subject === subject : subject.test(one.subject)) &&
        one.outcome === outcome &&
        found.test(one.found);
      let last: Finding[] = [];
      try {
        return await vi.waitUntil(async () => {
          last = await askAppliance(world.site.applianceFolder, { op: 'doctor' });
          return last.find(isIt);
        }, soon);
      } catch (error) {
        const said = last.filter((one) => one.outcome !== 'Passed' || one.subject.startsWith('replication'));
        const log = readFileSync(join(world.site.folder, 'appliance.log'), 'utf8').slice(-4_000);
        throw new Error(
          `The doctor did not say ${String(subject)} ${outcome}: ${JSON.stringify(said)}\n${log}`,
          {
            cause: error,
          },
        );
      }
    }
  },
);
