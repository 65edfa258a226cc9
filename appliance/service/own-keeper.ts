import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DomainError } from '../../shared/fault.ts';
import type { Keeper } from './keeper.ts';
import type { Product } from './product.ts';
import { runProgram } from './run-program.ts';

const stopLimitMs = 45_000;
const lookEveryMs = 50;

/** Keeps a product running where there is no systemd: by `bin/supervise` of its package, begun by a script in /etc/init.d. */
export class OwnKeeper implements Keeper {
  readonly kind = 'own';
  readonly #product: Product;
  readonly #pidFile: string;
  readonly #logFile: string;
  readonly #script: string;

  constructor(product: Product) {
    this.#product = product;
    this.#pidFile = `/run/${product.name}.pid`;
    this.#logFile = `/var/log/${product.name}.log`;
    this.#script = `/etc/init.d/${product.name}`;
  }

  async install(): Promise<void> {
    mkdirSync(dirname(this.#script), { recursive: true });
    writeFileSync(this.#script, describeInitScript(this.#product));
    chmodSync(this.#script, 0o755);
    const { name } = this.#product;
    const registrar = startRegistrars.find(({ path }) => existsSync(path));
    if (registrar) await runProgram(registrar.path, registrar.add(name));
  }

  async restart(): Promise<void> {
    await this.stop();
    const bin = join(this.#product.folder, 'current', 'bin');
    const words = [
      join(bin, 'supervise'),
      this.#pidFile,
      this.#logFile,
      join(bin, this.#product.name),
      'run',
    ];
    const supervisor = spawn('/bin/sh', words, { detached: true, stdio: 'ignore', cwd: '/' });
    await new Promise<void>((resolve, reject) => {
      supervisor.on('spawn', resolve);
      supervisor.on('error', reject);
    });
    supervisor.unref();
    // Whoever stops it finds it by this file, which it writes first of all.
    await this.#until(() => this.#findSupervisor() !== undefined, 'did not start');
  }

  async stop(): Promise<void> {
    const pid = this.#findSupervisor();
    if (pid === undefined) return;
    process.kill(pid, 'SIGTERM');
    await this.#until(() => this.#findSupervisor() === undefined, 'did not stop');
  }

  async isActive(): Promise<boolean> {
    return this.#findSupervisor() !== undefined;
  }

  async remove(): Promise<void> {
    await this.stop();
    const { name } = this.#product;
    const registrar = startRegistrars.find(({ path }) => existsSync(path));
    const isThere = existsSync(this.#script);
    if (registrar && isThere && registrar.removeFirst)
      await runProgram(registrar.path, registrar.remove(name));
    rmSync(this.#script, { force: true });
    if (registrar && isThere && !registrar.removeFirst)
      await runProgram(registrar.path, registrar.remove(name));
    for (const path of [this.#logFile, `${this.#logFile}.1`, this.#pidFile]) rmSync(path, { force: true });
  }

  /** The process in the file, if it still is the supervisor: the number may be another's by now. */
  #findSupervisor(): number | undefined {
    try {
      const pid = Number(readFileSync(this.#pidFile, 'utf8'));
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words.includes(this.#pidFile) ? pid : undefined;
    } catch {
      return undefined; // no file, or no such process
    }
  }

  async #until(isSo: () => boolean, what: string): Promise<void> {
    for (const endMs = Date.now() + stopLimitMs; !isSo(); await delay(lookEveryMs)) {
      if (Date.now() < endMs) continue;
      throw new DomainError({
        code: 'RemoteFailure',
        message: `${this.#product.title} ${what} within ${stopLimitMs / 1_000} s.`,
        recommendedAction: `Look at ${this.#logFile}, and at the process in ${this.#pidFile}.`,
      });
    }
  }
}

/** What makes a script of /etc/init.d start with the machine. */
const startRegistrars = [
  {
    path: '/usr/sbin/update-rc.d',
    add: (name: string) => [name, 'defaults'],
    /** Wants the script gone first. */
    remove: (name: string) => [name, 'remove'],
    removeFirst: false,
  },
  {
    path: '/sbin/chkconfig',
    add: (name: string) => ['--add', name],
    remove: (name: string) => ['--del', name],
    removeFirst: true,
  },
];

function describeInitScript({ name, title, folder }: Product): string {
  return `#!/bin/sh
# Written by ${name} when it is installed.
# chkconfig: 2345 90 10
### BEGIN INIT INFO
# Provides:          ${name}
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: ${title}
### END INIT INFO
exec ${join(folder, 'current', 'bin', name)} service "\${1:-status}"
`;
}
