import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { askAppliance } from '../../cli/control-client.ts';
import type { Finding } from '../../shared/wire/appliance-control.ts';
import { Site } from '../integration/appliance/site.ts';
import { Gate } from './gate.ts';

const soon = { timeout: 90_000, interval: 200 };

let site: Site;
let gate: Gate;

beforeEach(async () => {
  site = await Site.start();
  const grants = site.vault.settings.grants?.(site.applianceId);
  if (grants === undefined) throw new Error('The vault of the tests gives no tokens.');
  const port = Number(/Endpoint=sb:\/\/localhost:(\d+)/u.exec(grants.checkIns.connectionString)?.[1]);
  gate = await Gate.open(port);
  const through = <T extends { connectionString: string }>(grant: T): T => ({
    ...grant,
    connectionString: grant.connectionString.replace(`localhost:${port}`, `localhost:${gate.port}`),
  });
  // every renewal of the tokens changes the clients, with a goodbye to the ones before
  site.vault.settings = {
    tokenLifeMs: 3_000,
    grants: () => ({ ...grants, checkIns: through(grants.checkIns), commands: through(grants.commands) }),
  };
  await site.run();
});

afterEach(async () => {
  await site.close();
  await gate.close();
});

test(
  'a Service Bus that went silent is noticed, and all goes on when it answers again',
  { timeout: 300_000 },
  async () => {
    await site.next('heartbeat');
    gate.hold();
    await askAppliance(site.dataFolder, {
      op: 'accountsAdd',
      accountName: 'told-late',
      userName: 'u',
      password: 'p',
    });
    const trouble = await finding('Failed');
    expect(trouble.found).toMatch(/^not taken since 20/u);
    expect(trouble.action).toContain('Nothing is lost');
    gate.release();
    await finding('Passed');
    await site.next('heartbeat', ({ accounts }) =>
      accounts.some(({ accountName }) => accountName === 'told-late'),
    );
    await site.send('after', { kind: 'refresh' });
    expect(await site.resultOf('after')).toMatchObject({ outcome: 'succeeded' });
  },
);

async function finding(outcome: Finding['outcome']): Promise<Finding> {
  return vi.waitUntil(async () => {
    const findings = await askAppliance(site.dataFolder, { op: 'doctor' });
    return findings.find((one) => one.subject === 'check-ins' && one.outcome === outcome);
  }, soon);
}
