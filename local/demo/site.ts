import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { MiB } from '../../shared/bytes.ts';
import { writeSecretFile } from '../../shared/secret-file.ts';
import type { VCenterInventory } from '../vcenter/inventory.ts';
import { copyImage, makeDiskImage } from './disk-image.ts';
import { plainNode, run, Service } from './process.ts';

const imageBytes = 256 * MiB;

/** `internet` of the answers to the appliance's setup: docs/appliance.md. */
export type InternetAnswer =
  | { mode: 'direct' | 'machine' }
  | { mode: 'custom'; address: string; port: number; user?: string; password?: string };

/** One machine of the site, with its one disk. */
export interface SiteMachine {
  name: string;
  biosUuid: string;
  diskPath: string;
  diskUuid: string;
  sizeBytes: number;
}

/** The on-premises side: a vCenter, an appliance and a mobility agent, each a process of its own. */
export class Site {
  readonly folder: string;
  readonly machines: SiteMachine[] = [];
  readonly account = {
    name: 'vcenter-reader',
    user: 'reader@vsphere.local',
    password: randomBytes(18).toString('base64url'),
  };
  readonly services: Service[] = [];
  readonly #installation: string;
  readonly #onDeath: (sentence: string) => void;
  readonly #node: readonly string[];

  /** @param options.node how Node is started at the site, such as by `ip netns exec` in a network of its own */
  constructor(options: {
    folder: string;
    installation: string;
    onDeath: (sentence: string) => void;
    node?: readonly string[];
  }) {
    this.#node = options.node ?? plainNode;
    this.folder = options.folder;
    this.#installation = options.installation;
    this.#onDeath = options.onDeath;
    mkdirSync(join(this.folder, 'disks'), { recursive: true, mode: 0o700 });
  }

  get applianceFolder(): string {
    return join(this.folder, 'appliance');
  }

  /** Makes the machines' disks: the first may be a copy of the user's own. */
  makeMachines(userDisk: string | undefined): void {
    for (const name of ['contoso-web', 'contoso-sql', 'contoso-app']) {
      const diskPath = join(this.folder, 'disks', `${name}.raw`);
      if (userDisk !== undefined && this.machines.length === 0) copyImage(userDisk, diskPath);
      else makeDiskImage(diskPath, imageBytes, name);
      const { size: sizeBytes } = statSync(diskPath);
      this.machines.push({ name, biosUuid: randomUUID(), diskPath, diskUuid: randomUUID(), sizeBytes });
    }
  }

  /** @returns the port it listens on, https */
  async startVCenter(): Promise<number> {
    const inventory: Partial<VCenterInventory> = {
      name: 'contoso-vcenter',
      account: { user: this.account.user, password: this.account.password, access: 'read' },
      machines: this.machines.map((machine, index) => ({
        name: machine.name,
        biosUuid: machine.biosUuid,
        instanceUuid: randomUUID(),
        powerState: 'poweredOn',
        connectionState: 'connected',
        guestId: 'ubuntu64Guest',
        firmware: 'bios',
        cpus: 2,
        memoryMB: 4_096,
        template: false,
        access: 'read',
        hostName: `${machine.name}.contoso.local`,
        nics: [
          {
            mac: `00:50:56:00:00:0${index + 1}`,
            network: 'VM Network',
            connected: true,
            ipAddresses: [`10.20.0.${index + 11}`],
          },
        ],
        disks: [{ image: machine.diskPath, uuid: machine.diskUuid, capacityBytes: machine.sizeBytes }],
      })),
    };
    const inventoryFile = join(this.folder, 'vcenter.json');
    writeSecretFile(inventoryFile, JSON.stringify(inventory, undefined, 2));
    const vCenter = this.#start('vcenter', ['local/vcenter/main.ts', '--inventory', inventoryFile]);
    return Number((await vCenter.ready())['port']);
  }

  /** Registers an appliance with the vault's key and starts it. @returns its id and where agents come in */
  async startAppliance(
    registrationKey: unknown,
  ): Promise<{ applianceId: string; host: string; port: number }> {
    await this.setUpAppliance(registrationKey, { mode: 'direct' });
    return this.runAppliance();
  }

  /** Registers an appliance with the vault's key. @param waitSeconds how long it tries while the vault can't be reached */
  async setUpAppliance(registrationKey: unknown, internet: InternetAnswer, waitSeconds = 120): Promise<void> {
    const keyPath = join(this.folder, 'registration-key.json');
    writeSecretFile(keyPath, JSON.stringify(registrationKey));
    const answers = {
      acceptLicences: true,
      acceptUndersized: true,
      registrationKey: keyPath,
      role: 'configurationServer',
      vmware: true,
      internet,
      network: { host: '127.0.0.1', port: 0 },
    };
    const answersPath = join(this.folder, 'answers.yaml');
    writeSecretFile(answersPath, JSON.stringify(answers)); // JSON is YAML
    const patience = ['--wait-seconds', String(waitSeconds)];
    await this.#secondsite(['appliance', 'setup', '--answers', answersPath, ...patience]);
  }

  /** Starts the appliance that was set up. @returns its id and where agents come in */
  async runAppliance(): Promise<{ applianceId: string; host: string; port: number }> {
    const service = this.#start('appliance', [
      'appliance/main.ts',
      '--data-folder',
      this.applianceFolder,
      '--json',
    ]);
    const { applianceId, host, port } = await service.ready();
    return { applianceId: String(applianceId), host: String(host), port: Number(port) };
  }

  /** @returns the account's id */
  async addAccount(): Promise<string> {
    const { name, user, password } = this.account;
    const args = ['appliance', 'accounts', 'add', '--name', name, '--user', user, '--json'];
    const { accountId } = JSON.parse(await this.#secondsite(args, password)) as { accountId: string };
    return accountId;
  }

  /** Enrols the machine's agent with the appliance's passphrase and starts it. */
  async startAgent(machine: SiteMachine, server: { host: string; port: number }): Promise<Service> {
    const { passphrase } = JSON.parse(
      await this.#secondsite(['appliance', 'passphrase', 'show', '--json']),
    ) as {
      passphrase: string;
    };
    const passphrasePath = join(this.folder, 'passphrase');
    writeSecretFile(passphrasePath, passphrase);
    const dataFolder = join(this.folder, `agent-${machine.name}`);
    const told = ['--passphrase-file', passphrasePath, '--bios-uuid', machine.biosUuid];
    const where = ['--server', `${server.host}:${server.port}`, '--data-folder', dataFolder];
    const options = { node: this.#node };
    await run([this.#entry('cli/main.ts'), 'agent', 'enrol', ...where, ...told], options);
    const disk = `${machine.diskUuid}=${machine.diskPath}`;
    const args = [
      'appliance/mobility-agent/main.ts',
      'run',
      '--data-folder',
      dataFolder,
      '--disk',
      disk,
      '--json',
    ];
    return this.#start(`agent-${machine.name}`, args);
  }

  /** Writes down which processes run, so that the next demo can end those of one that was killed. */
  savePids(platformPids: Record<string, number>): void {
    const pids = Object.fromEntries(this.services.map(({ name, pid }) => [name, pid]));
    writeFileSync(join(this.folder, 'pids.json'), JSON.stringify({ ...platformPids, ...pids }));
  }

  /** Ends all its processes, the agents first. */
  async close(): Promise<void> {
    for (const service of this.services.toReversed()) await service.stop();
  }

  kill(): void {
    for (const service of this.services) service.kill();
  }

  #secondsite(args: string[], input?: string): Promise<string> {
    return run([this.#entry('cli/main.ts'), ...args, '--data-folder', this.applianceFolder], {
      node: this.#node,
      ...(input === undefined ? {} : { input }),
    });
  }

  #start(name: string, args: string[]): Service {
    const [entry = '', ...rest] = args;
    const service = new Service({
      name,
      args: [this.#entry(entry), ...rest],
      logPath: join(this.folder, `${name}.log`),
      onDeath: this.#onDeath,
      node: this.#node,
    });
    this.services.push(service);
    return service;
  }

  #entry(path: string): string {
    return join(this.#installation, path);
  }
}

/** Ends what a demo that was killed left running in its folder. */
export function endLeftovers(folder: string): void {
  let pids: Record<string, number>;
  try {
    pids = JSON.parse(readFileSync(join(folder, 'pids.json'), 'utf8')) as Record<string, number>;
  } catch {
    return; // no demo ran here, or it ended cleanly
  }
  for (const pid of Object.values(pids)) {
    try {
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder)) process.kill(pid, 'SIGKILL');
    } catch {
      // it has ended
    }
  }
}
