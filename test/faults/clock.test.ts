import { existsSync, globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { askAppliance } from '../../cli/control-client.ts';
import type { Finding } from '../../shared/wire/appliance-control.ts';
import { Site } from '../integration/appliance/site.ts';
import { isLong } from './long.ts';

/** Stands between the process and the system's clock; the monotonic one is left alone. */
const library = globSync('/usr/lib/*/faketime/libfaketime.so.1')[0];
const reason = library === undefined ? ' (not here: libfaketime is not installed (Debian: faketime))' : '';
const minutes = isLong ? [20, -20, 90, -90, 60 * 24 * 30, -60 * 24 * 30] : [20, -90];
const soon = { timeout: 60_000, interval: 100 };

describe.skipIf(library === undefined)(
  `a machine whose clock is moved${reason}`,
  { timeout: 300_000 },
  () => {
    let site: Site;
    let environment: Record<string, string>;

    beforeEach(async () => {
      site = await Site.start();
      site.vault.settings.tokenLifeMs = 3_000;
      environment = {
        LD_PRELOAD: library ?? '',
        FAKETIME_TIMESTAMP_FILE: join(site.folder, 'clock'),
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      };
      await moveClock(0);
      await site.run(environment);
    });

    afterEach(async () => site.close());

    test('is refused while it is wrong, says so, and then sends all that it had kept', async () => {
      await site.next('heartbeat');
      for (const [at, moved] of minutes.entries()) {
        await moveClock(moved);
        const wrong = await finding('vault', 'Failed');
        const direction = moved > 0 ? 'ahead of' : 'behind';
        expect(wrong.found).toContain(`${Math.abs(moved)} minutes ${direction} the service's`);
        expect(wrong.action).toMatch(/clock/u);
        await askAppliance(site.dataFolder, {
          op: 'accountsAdd',
          accountName: `account-${at}`,
          userName: 'u',
          password: 'p',
        });
        await moveClock(0);
        await finding('vault', 'Passed');
        const { body } = await site.next('heartbeat', ({ accounts }) => accounts.length === at + 1);
        expect(body.accounts.at(-1)?.accountName).toBe(`account-${at}`);
      }
      const { checkIns } = site;
      expect(checkIns.map(({ sequence }) => sequence)).toEqual(
        checkIns.map(({ sequence }) => sequence).toSorted((a, b) => a - b),
      );
    });

    test('is warned of while it is less than 15 minutes off', async () => {
      await site.next('heartbeat');
      await moveClock(-10);
      expect((await finding('clock', 'Warning')).found).toContain('10 minutes behind the vault');
    });

    async function moveClock(byMinutes: number): Promise<void> {
      await writeFile(join(site.folder, 'clock'), `${byMinutes < 0 ? '' : '+'}${byMinutes * 60}\n`);
    }

    async function finding(subject: string, outcome: Finding['outcome']): Promise<Finding> {
      return vi.waitUntil(async () => {
        const findings = await askAppliance(site.dataFolder, { op: 'doctor' });
        return findings.find((one) => one.subject === subject && one.outcome === outcome);
      }, soon);
    }
  },
);

test('libfaketime is there where these tests must run', () => {
  expect(process.env['CI'] === undefined || existsSync(library ?? '')).toBe(true);
});
