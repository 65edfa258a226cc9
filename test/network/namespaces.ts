/**
 * Two networks of this machine's own, joined by nothing but one cable: network namespaces and a pair of virtual
 * interfaces. What a test that was killed leaves behind is removed by the next one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const prefix = 'secondsite';
const cable = 'cable';

/** Both ends of the cable. The addresses exist in the two namespaces and nowhere else. */
export const addresses = { site: '10.213.7.2', cloud: '10.213.7.1' } as const;

type Side = keyof typeof addresses;

/** Why networks can't be made here, or undefined when they can. */
export function whyNoNetworks(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  if (spawnSync('ip', ['-V']).status !== 0) return 'ip is not installed (Debian: iproute2)';
  if (!existsSync('/usr/sbin/squid')) return 'squid is not installed (Debian: squid)';
  if (spawnSync('openssl', ['version']).status !== 0) return 'openssl is not installed (Debian: openssl)';
  const name = `${prefix}-${process.pid}-try`;
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (made.status !== 0) return `network namespaces can't be made: ${made.stderr.trim()}`;
  execFileSync('ip', ['netns', 'delete', name]);
  return undefined;
}

/** The site's network and the cloud's. */
export class TwoNetworks {
  readonly #names: Record<Side, string>;

  private constructor(names: Record<Side, string>) {
    this.#names = names;
  }

  static create(): TwoNetworks {
    removeOrphans();
    const own = `${prefix}-${process.pid}`;
    const networks = new TwoNetworks({ site: `${own}-site`, cloud: `${own}-cloud` });
    for (const side of ['site', 'cloud'] as const) ip('netns', 'add', networks.#names[side]);
    const { site, cloud } = networks.#names;
    ip('link', 'add', cable, 'netns', site, 'type', 'veth', 'peer', 'name', cable, 'netns', cloud);
    for (const side of ['site', 'cloud'] as const) {
      networks.#ip(side, 'address', 'add', `${addresses[side]}/30`, 'dev', cable);
      networks.#ip(side, 'link', 'set', 'lo', 'up');
      networks.#ip(side, 'link', 'set', cable, 'up');
    }
    return networks;
  }

  /** What a program's command line begins with to run in one of them. */
  enter(side: Side): string[] {
    return ['ip', 'netns', 'exec', this.#names[side]];
  }

  /** Pulls the cable out, or plugs it in again. */
  setLink(state: 'up' | 'down'): void {
    this.#ip('site', 'link', 'set', cable, state);
  }

  /** What leaves the site goes at this rate at most, `2500kbit` or `20mbit`; without one as fast as it can. */
  setRate(rate?: string): void {
    const where = ['dev', cable, 'root'];
    const order = rate === undefined ? ['delete', ...where] : ['replace', ...where, 'tbf', 'rate', rate];
    const bounds = rate === undefined ? [] : ['burst', '64kbit', 'latency', '400ms'];
    execFileSync('tc', ['-netns', this.#names.site, 'qdisc', ...order, ...bounds]);
  }

  /** The site's ways to elsewhere, one a line. */
  routes(): string[] {
    return this.#ip('site', 'route', 'show').trim().split('\n');
  }

  /** Whether a TCP connection from the site to the cloud's address comes about, or with which error it does not. */
  tryFromSite(port: number): string {
    const [program = '', ...args] = this.enter('site');
    const script = `require('net').connect(${port}, '${addresses.cloud}')
      .on('connect', () => { console.log('connected'); process.exit() })
      .on('error', ({ code }) => console.log(code))`;
    const options = { encoding: 'utf8', timeout: 20_000 } as const;
    return execFileSync(program, [...args, process.execPath, '-e', script], options).trim();
  }

  remove(): void {
    for (const name of Object.values(this.#names)) removeNetwork(name);
  }

  #ip(side: Side, ...args: string[]): string {
    return ip('-netns', this.#names[side], ...args);
  }
}

function ip(...args: string[]): string {
  return execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function removeOrphans(): void {
  for (const name of ip('netns', 'list').match(new RegExp(`^${prefix}-\\d+-\\w+`, 'gmu')) ?? []) {
    const pid = name.split('-')[1] ?? '';
    if (!existsSync(`/proc/${pid}`)) removeNetwork(name);
  }
}

/** With what still runs in it: nothing else was ever started there. */
function removeNetwork(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
  for (const pid of stdout.split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it ended by itself meanwhile
    }
  }
  spawnSync('ip', ['netns', 'delete', name]);
}
