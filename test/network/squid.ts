/** The proxy between site and cloud: squid as Debian packages it, at the cloud's end of the cable. */
import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';
import { Service } from '../../local/demo/process.ts';
import { addresses, type TwoNetworks } from './namespaces.ts';

/** Whom squid runs as when root starts it. */
const squidUser = 'proxy';

export interface Login {
  user: string;
  password: string;
}

/** A running squid. */
export class Squid {
  readonly port = 3128;
  readonly #folder: string;
  readonly #networks: TwoNetworks;
  #service: Service | undefined;

  private constructor(folder: string, networks: TwoNetworks) {
    this.#folder = folder;
    this.#networks = networks;
  }

  /** @param login what everybody must bring; left out, nobody is asked */
  static async start(folder: string, networks: TwoNetworks, login?: Login): Promise<Squid> {
    mkdirSync(folder);
    chownSync(folder, idOf('-u'), idOf('-g'));
    if (login !== undefined) {
      const args = ['passwd', '-apr1', '-stdin'];
      const hash = execFileSync('openssl', args, { input: `${login.password}\n`, encoding: 'utf8' }).trim();
      writeFileSync(join(folder, 'passwords'), `${login.user}:${hash}\n`);
    }
    writeFileSync(join(folder, 'squid.conf'), configuration(folder, login !== undefined));
    const squid = new Squid(folder, networks);
    await squid.run();
    return squid;
  }

  async run(): Promise<void> {
    this.#service = new Service({
      name: 'squid',
      node: this.#networks.enter('cloud'),
      args: ['squid', '-N', '-f', join(this.#folder, 'squid.conf')],
      logPath: join(this.#folder, 'output.log'),
      onDeath: () => undefined,
    });
    this.#service.ready().catch(() => undefined); // it says nothing on its output
    await vi.waitUntil(() => this.#networks.tryFromSite(this.port) === 'connected', 20_000);
  }

  /** What went through it and what it refused: the answer's status, the method and where to, each once. */
  asked(): string[] {
    const lines = readFileSync(join(this.#folder, 'access.log'), 'utf8').trim().split('\n');
    return [...new Set(lines.map((line) => line.replace(/(:\/\/[^/]+)\/.*$/u, '$1/…')))];
  }

  async stop(): Promise<void> {
    await this.#service?.stop();
  }
}

function configuration(folder: string, asksLogin: boolean): string {
  const login = [
    `auth_param basic program /usr/lib/squid/basic_ncsa_auth ${join(folder, 'passwords')}`,
    'acl known proxy_auth REQUIRED',
  ];
  return [
    `http_port ${addresses.cloud}:3128`,
    `acl site src ${addresses.site}/32`,
    ...(asksLogin ? login : []),
    `http_access allow site${asksLogin ? ' known' : ''}`,
    'http_access deny all',
    'cache deny all',
    'logformat asked %>Hs %rm %ru',
    `access_log stdio:${join(folder, 'access.log')} asked`,
    `cache_log ${join(folder, 'cache.log')}`,
    `coredump_dir ${folder}`,
    'pid_filename none',
    'pinger_enable off',
    'visible_hostname proxy.test',
    'shutdown_lifetime 0 seconds',
    'max_filedescriptors 4096',
    '',
  ].join('\n');
}

function idOf(option: '-u' | '-g'): number {
  return Number(execFileSync('id', [option, squidUser], { encoding: 'utf8' }));
}
