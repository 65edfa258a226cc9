import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { askAppliance } from '../../cli/control-client.ts';
import { Arm } from '../../local/demo/arm.ts';
import { changeBlocks, makeDiskImage } from '../../local/demo/disk-image.ts';
import { openReplicaLog, proveChain, proveRestore } from '../../local/demo/proof.ts';
import { Reporter } from '../../local/demo/reporter.ts';
import { Road } from '../../local/demo/road.ts';
import { type InternetAnswer, Site } from '../../local/demo/site.ts';
import { MiB } from '../../shared/bytes.ts';
import { Cloud, installation } from './cloud.ts';
import { addresses, TwoNetworks, whyNoNetworks } from './namespaces.ts';
import { type Login, Squid } from './squid.ts';

const reason = whyNoNetworks();
const where = reason === undefined ? '' : ` (not here: ${reason})`;
const login: Login = { user: 'site', password: 'p@ss:w/rd 1' };
const custom = { mode: 'custom', address: addresses.cloud, port: 3128 } as const;

describe.skipIf(reason)(`a site that a proxy alone leads out of${where}`, { timeout: 240_000 }, () => {
  let folder: string;
  let networks: TwoNetworks;
  let cloud: Cloud;
  let site: Site;
  let squid: Squid;
  let road: Road;
  let arm: Arm;
  const reporter = new Reporter({ json: true, out: new PassThrough().resume() });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'secondsite-network-'));
    chmodSync(folder, 0o711); // squid runs as a user of its own
    networks = TwoNetworks.create();
    cloud = await Cloud.start(join(folder, 'platform'), networks);
    arm = new Arm(cloud.config, 'ContosoVMVault');
  });

  afterEach(async () => {
    await site.close();
    await squid.stop();
    await cloud.close();
    networks.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each<[string, Login | undefined, InternetAnswer, Record<string, string>]>([
    ['that asks for a user and password', login, { ...custom, ...login }, {}],
    [
      'of the machine that asks for nothing',
      undefined,
      { mode: 'machine' },
      { HTTPS_PROXY: `http://${addresses.cloud}:3128`, NO_PROXY: '10.0.0.1,.contoso.local' },
    ],
  ])('is set up, discovered and replicated through one %s', async (_, asks, internet, environment) => {
    squid = await Squid.start(join(folder, 'squid'), networks, asks);
    makeSite(environment);
    expect(networks.routes()).toEqual([expect.stringContaining(`10.213.7.0/30 dev cable`)]);
    const { functions, serviceBus, blob } = cloud.config.ports;
    for (const port of [functions, serviceBus, blob]) expect(networks.tryFromSite(port)).toBe('ECONNREFUSED');

    const disk = join(folder, 'disk.raw');
    makeDiskImage(disk, 24 * MiB, 'proxied');
    site.makeMachines(disk);
    await road.makeVault();
    const server = await site.startAppliance(await road.getRegistrationKey(), internet);
    await road.awaitConfigurationServer(server.applianceId);
    await road.addVCenter(server.applianceId, await site.startVCenter(), await site.addAccount());
    const items = await road.discover(server.applianceId);
    const [machine] = site.machines;
    const item = items.find(({ properties }) => properties?.friendlyName === machine?.name);
    if (machine === undefined || item === undefined) throw new Error('The first machine was not discovered.');
    const target = await road.checkTarget();
    await road.makePolicy();
    const startAgent = async (): Promise<void> => void (await site.startAgent(machine, server));
    await road.protect(machine, item, { applianceId: server.applianceId, ...target, startAgent });
    await road.watchInitialReplication(machine);
    await road.watchFinalize(machine);
    changeBlocks(machine.diskPath);
    const { sequence } = await road.makePoint(machine);

    const { containerName, anchor } = await road.replicaLog(machine);
    const log = await openReplicaLog(cloud.config, containerName);
    await proveChain(reporter, log, { containerName, anchor });
    await proveRestore(reporter, log, { sequence, diskThen: machine.diskPath, folder });
    expect(squid.asked()).toEqual(
      expect.arrayContaining([
        `200 CONNECT localhost:${functions}`,
        `200 CONNECT localhost:${serviceBus}`,
        `201 PUT http://127.0.0.1:${blob}/…`,
      ]),
    );
  });

  test('is refused with what to do where the proxy’s password is wrong, and set up once it is right', async () => {
    squid = await Squid.start(join(folder, 'squid'), networks, login);
    makeSite({});
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

  function makeSite(environment: Record<string, string>): void {
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const node = [...networks.enter('site'), 'env', ...variables, process.execPath];
    site = new Site({ folder: join(folder, 'site'), installation, onDeath: () => undefined, node });
    road = new Road(arm, reporter, site);
  }
});
