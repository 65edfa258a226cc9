/** PostgreSQL from Debian's package, its data on one file system and its log of writes on another. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './loop-disk.ts';

const installed = '/usr/lib/postgresql';

/** Why PostgreSQL can't be used here; undefined when it can. In CI it always can, or the test fails. */
export function whyNoPostgresql(): string | undefined {
  if (existsSync(installed) || process.env['CI'] === 'true') return undefined;
  return 'PostgreSQL is not installed';
}

/** A database cluster of the user `postgres`; reached through a socket in a folder of its own. */
export class Postgresql {
  readonly #data: string;
  readonly #socket: string;

  constructor(data: string, socket: string) {
    this.#data = data;
    this.#socket = socket;
  }

  /** @param folder for the data @param logFolder for the log of writes */
  static create(folder: string, logFolder: string, socket: string): Postgresql {
    for (const place of [join(folder, 'data'), join(logFolder, 'wal'), socket]) {
      mkdirSync(place);
      run('chown', ['postgres:', place]);
    }
    const words = ['--pgdata', join(folder, 'data'), '--waldir', join(logFolder, 'wal'), '--auth', 'trust'];
    asPostgres('initdb', [...words, '--data-checksums', '--no-instructions']);
    return new Postgresql(join(folder, 'data'), socket);
  }

  /** A copy of a cluster, whose log of writes is elsewhere now, and whose server runs on: on this machine, not the copy's. */
  static adopt(folder: string, logFolder: string, socket: string): Postgresql {
    const data = join(folder, 'data');
    for (const name of ['pg_wal', 'postmaster.pid']) rmSync(join(data, name));
    run('ln', ['--symbolic', join(logFolder, 'wal'), join(data, 'pg_wal')]);
    mkdirSync(socket);
    run('chown', ['postgres:', socket]);
    return new Postgresql(data, socket);
  }

  start(): void {
    const options = `-c listen_addresses='' -c unix_socket_directories='${this.#socket}'`;
    const words = ['--pgdata', this.#data, '--wait', '--timeout', '120', '--options', options];
    asPostgres('pg_ctl', ['start', ...words, '--log', join(this.#socket, 'log')]);
  }

  stop(): void {
    asPostgres('pg_ctl', ['stop', '--pgdata', this.#data, '--mode', 'immediate', '--wait']);
  }

  query(text: string): string {
    const words = ['--no-psqlrc', '--tuples-only', '--no-align', '--host', this.#socket, '--command', text];
    return asPostgres('psql', [...words, 'postgres']).trim();
  }

  initializeBench(): void {
    asPostgres('pgbench', ['--host', this.#socket, '--initialize', '--quiet', '--scale', '4', 'postgres']);
  }

  /** Transfers between accounts, tellers and branches until it is stopped. */
  bench(): Bench {
    return new Bench(this.#socket);
  }
}

/** A run of pgbench. */
export class Bench {
  readonly #program: ChildProcess;

  constructor(socket: string) {
    const words = ['--host', socket, '--client', '4', '--jobs', '2', '--time', '100000', 'postgres'];
    this.#program = spawn('runuser', ['-u', 'postgres', '--', program('pgbench'), ...words], {
      stdio: 'ignore',
      cwd: '/',
    });
  }

  get isAtWork(): boolean {
    return this.#program.exitCode === null && this.#program.signalCode === null;
  }

  async stop(): Promise<void> {
    if (!this.isAtWork) return;
    const ended = once(this.#program, 'exit');
    this.#program.kill('SIGTERM');
    await ended;
  }
}

/** Lets the user `postgres` through to what lies below. */
export function letThrough(folder: string): void {
  chmodSync(folder, 0o711);
}

function program(name: string): string {
  const version =
    readdirSync(installed)
      .toSorted((one, other) => Number(one) - Number(other))
      .at(-1) ?? '';
  return join(installed, version, 'bin', name);
}

function asPostgres(name: string, words: readonly string[]): string {
  return run('runuser', ['-u', 'postgres', '--', program(name), ...words]);
}
