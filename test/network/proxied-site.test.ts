import { afterEach, describe, expect, test } from 'vitest';
import { askAppliance } from '../../cli/control-client.ts';
import { changeBlocks } from '../../local/demo/disk-image.ts';
import type { InternetAnswer } from '../../local/demo/site.ts';
import { MiB } from '../../shared/bytes.ts';
import { addresses, whyNoNetworks } from './namespaces.ts';
import type { Login } from './squid.ts';
import { custom, World } from './world.ts';

const reason = whyNoNetworks();
const where = reason === undefined ? '' : ` (not here: ${reason})`;
const login: Login = { user: 'site', password: 'p@ss:w/rd 1' };

describe.skipIf(reason)(`a site that a proxy alone leads out of${where}`, { timeout: 240_000 }, () => {
  let world: World;

  afterEach(async () => world.close());

  test.each<[string, Login | undefined, InternetAnswer, Record<string, string>]>([
    ['that asks for a user and password', login, { ...custom, ...login }, {}],
    [
      'of the machine that asks for nothing',
      undefined,
      { mode: 'machine' },
      { HTTPS_PROXY: `http://${addresses.cloud}:3128`, NO_PROXY: '10.0.0.1,.contoso.local' },
    ],
  ])('is set up, discovered and replicated through one %s', async (_, asks, internet, environment) => {
    world = await World.create({ login: asks, environment });
    const { networks, road } = world;
    expect(networks.routes()).toEqual([expect.stringContaining(`10.213.7.0/30 dev cable`)]);
    const { functions, serviceBus, blob } = world.cloud.config.ports;
    for (const port of [functions, serviceBus, blob]) expect(networks.tryFromSite(port)).toBe('ECONNREFUSED');

    const server = await world.buildSite(internet, 24 * MiB);
    const machine = await world.protect(server);
    await road.watchInitialReplication(machine);
    await road.watchFinalize(machine);
    changeBlocks(machine.diskPath);
    const { sequence } = await road.makePoint(machine);
    await world.prove(machine, sequence);
    expect(world.squid.asked()).toEqual(
      expect.arrayContaining([
        `200 CONNECT localhost:${functions}`,
        `200 CONNECT localhost:${serviceBus}`,
        `201 PUT http://127.0.0.1:${blob}/…`,
      ]),
    );
  });

  test('is refused with what to do where the proxy’s password is wrong, and set up once it is right', async () => {
    world = await World.create({ login });
    const { site, road } = world;
    await road.makeVault();
    const key = await road.getRegistrationKey();
    const refused = await site
      .setUpAppliance(key, { ...custom, user: login.user, password: 'wr0ng-one' }, 0)
      .catch((error: unknown) => String(error));
    expect(refused).toContain('Check the proxy’s address, port, user and password');
    expect(refused).not.toContain('wr0ng-one');
    await site.setUpAppliance(key, { ...custom, ...login });
    const { applianceId } = await site.runAppliance();
    await road.awaitConfigurationServer(applianceId);
    const findings = await askAppliance(site.applianceFolder, { op: 'doctor' });
    expect(findings.find(({ subject }) => subject === 'prerequisite vaultReachable')).toMatchObject({
      outcome: 'Passed',
      found: `it answers through the proxy ${addresses.cloud}:3128`,
    });
  });
});
