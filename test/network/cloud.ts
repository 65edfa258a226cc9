/** The local platform in the cloud's network, and this process's way to it past the cable. */
import { rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { join, resolve } from 'node:path';
import { Service } from '../../local/demo/process.ts';
import { type LocalConfig, readConfig } from '../../local/platform/config.ts';
import type { TwoNetworks } from './namespaces.ts';

export const installation = resolve(import.meta.dirname, '../..');
const tries = 3;

/** A running platform. */
export class Cloud {
  /** As tests reach it. */
  readonly config: LocalConfig;
  readonly #services: Service[];
  readonly #doors: Server[];

  private constructor(config: LocalConfig, services: Service[], doors: Server[]) {
    this.config = config;
    this.#services = services;
    this.#doors = doors;
  }

  /** Its ports are chosen in the cloud's network. Now and then one is taken in this one, and others must be chosen. */
  static async start(folder: string, networks: TwoNetworks): Promise<Cloud> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await Cloud.#tryStart(folder, networks);
      } catch (error) {
        const isTaken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
        if (!isTaken || attempt === tries) throw error;
        rmSync(folder, { recursive: true, force: true });
      }
    }
  }

  static async #tryStart(folder: string, networks: TwoNetworks): Promise<Cloud> {
    const services: Service[] = [];
    const doors: Server[] = [];
    const start = (name: string, args: string[]): Promise<unknown> => {
      const node = [...networks.enter('cloud'), process.execPath];
      const logPath = join(folder, '..', `${name}.log`);
      const service = new Service({ name, args, node, logPath, onDeath: () => undefined });
      services.unshift(service);
      return service.ready();
    };
    const platform = [join(installation, 'local/main.ts'), '--any-ports', '--json', '--data-folder', folder];
    await start('platform', platform);
    const config = readConfig(folder);
    if (config === undefined) throw new Error(`The platform wrote no configuration into ${folder}.`);
    try {
      for (const port of [config.ports.functions, config.ports.blob]) {
        const socketPath = join(folder, `${port}.sock`);
        const args = [join(import.meta.dirname, 'forwarder-main.ts'), socketPath, String(port)];
        await start(`forwarder-${port}`, args);
        doors.push(await openDoor(port, socketPath));
      }
      return new Cloud(config, services, doors);
    } catch (error) {
      await new Cloud(config, services, doors).close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const door of this.#doors) door.close();
    for (const service of this.#services) await service.stop();
  }
}

/** The same port here as there: the vault's addresses hold it. */
async function openDoor(port: number, socketPath: string): Promise<Server> {
  const server = createServer((client) => {
    const service = connect(socketPath);
    client.pipe(service).pipe(client);
    client.on('error', () => service.destroy());
    service.on('error', () => client.destroy());
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
