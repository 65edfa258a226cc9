/** A site and its cloud with squid between them, and the road from an empty vault to a protected machine. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Arm } from '../../local/demo/arm.ts';
import { makeDiskImage } from '../../local/demo/disk-image.ts';
import { openReplicaLog, proveChain, proveRestore } from '../../local/demo/proof.ts';
import { Reporter } from '../../local/demo/reporter.ts';
import { Road } from '../../local/demo/road.ts';
import { type InternetAnswer, Site, type SiteMachine } from '../../local/demo/site.ts';
import { Cloud, installation } from './cloud.ts';
import { addresses, TwoNetworks } from './namespaces.ts';
import { type Login, Squid } from './squid.ts';

/** What a test of two networks is made of. */
export interface WorldOptions {
  /** What the proxy asks for; left out, nothing. */
  login?: Login | undefined;
  /** Environment variables of the site's programs. */
  environment?: Record<string, string>;
}

/** Where the appliance runs, once it does. */
export type Server = Awaited<ReturnType<Site['runAppliance']>>;

/** The custom proxy of the answers, without a user. */
export const custom = { mode: 'custom', address: addresses.cloud, port: 3128 } as const;

/** Both networks and all that runs in them. */
export class World {
  readonly folder: string;
  readonly networks: TwoNetworks;
  readonly cloud: Cloud;
  readonly squid: Squid;
  readonly site: Site;
  readonly road: Road;
  readonly #reporter = new Reporter({ json: true, out: new PassThrough().resume() });

  private constructor(
    parts: { folder: string; networks: TwoNetworks; cloud: Cloud; squid: Squid },
    environment: Record<string, string>,
  ) {
    this.folder = parts.folder;
    this.networks = parts.networks;
    this.cloud = parts.cloud;
    this.squid = parts.squid;
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const node = [...this.networks.enter('site'), 'env', ...variables, process.execPath];
    const folder = join(this.folder, 'site');
    this.site = new Site({ folder, installation, onDeath: () => undefined, node });
    this.road = new Road(new Arm(this.cloud.config, 'ContosoVMVault'), this.#reporter, this.site);
  }

  static async create({ login, environment = {} }: WorldOptions = {}): Promise<World> {
    const folder = mkdtempSync(join(tmpdir(), 'secondsite-network-'));
    chmodSync(folder, 0o711); // squid runs as a user of its own
    const networks = TwoNetworks.create();
    try {
      const cloud = await Cloud.start(join(folder, 'platform'), networks);
      const squid = await Squid.start(join(folder, 'squid'), networks, login);
      return new World({ folder, networks, cloud, squid }, environment);
    } catch (error) {
      networks.remove();
      throw error;
    }
  }

  /**
   * Makes the vault, and an appliance with one vCenter.
   *
   * @param beforeRun what is done with the folder of the appliance when it is set up and does not run yet
   * @returns where the appliance runs
   */
  async buildSite(
    internet: InternetAnswer,
    diskBytes: number,
    beforeRun: (applianceFolder: string) => void = () => undefined,
  ): Promise<Server> {
    const { site, road } = this;
    const disk = join(this.folder, 'disk.raw');
    makeDiskImage(disk, diskBytes, 'proxied');
    site.makeMachines(disk);
    await road.makeVault();
    await site.setUpAppliance(await road.getRegistrationKey(), internet);
    beforeRun(site.applianceFolder);
    const server = await site.runAppliance();
    await road.awaitConfigurationServer(server.applianceId);
    await road.addVCenter(server.applianceId, await site.startVCenter(), await site.addAccount());
    return server;
  }

  /** Discovers, enables replication of the first machine and starts its agent. */
  async protect(server: Server): Promise<SiteMachine> {
    const { site, road } = this;
    const { applianceId } = server;
    const items = await road.discover(applianceId);
    const [machine] = site.machines;
    const item = items.find(({ properties }) => properties?.friendlyName === machine?.name);
    if (machine === undefined || item === undefined) throw new Error('The first machine was not discovered.');
    const target = await road.checkTarget();
    await road.makePolicy();
    const startAgent = async (): Promise<void> => void (await site.startAgent(machine, server));
    await road.protect(machine, item, { applianceId, ...target, startAgent });
    return machine;
  }

  /** Reads the whole log against the anchor, restores a point and compares it with the disk. @throws Error */
  async prove(machine: SiteMachine, sequence: number): Promise<void> {
    const { containerName, anchor, points } = await this.road.replicaLog(machine);
    const point = points.find((one) => one.sequence === sequence);
    if (!point) throw new Error(`The vault has no recovery point ${sequence}.`);
    const log = await openReplicaLog(this.cloud.config, containerName);
    await proveChain(this.#reporter, log, { containerName, anchor });
    await proveRestore(this.#reporter, log, { point, diskThen: machine.diskPath, folder: this.folder });
  }

  async close(): Promise<void> {
    await this.site.close();
    await this.squid.stop();
    await this.cloud.close();
    this.networks.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
