import { pushError } from './push-error.ts';
import type { Ended, Input, SshLogin, SshSession } from './ssh-session.ts';

/** What was found on the machine before anything is done there. */
export interface TargetFacts {
  isRoot: boolean;
  /** `linux-x64` and the like. */
  platform: string;
  osName: string;
  /** Of /opt and of /var/tmp. */
  freeKib: number;
  /** The agent's version there, '' when none is installed. */
  installedVersion: string;
}

/** A package is unpacked beside the version that runs, and lies there packed too. */
const neededKib = 400 * 1024;
const oldestGlibc = [2, 28] as const;

/** Asks with words that every shell knows, one `name=value` a line. */
const questions = `export LC_ALL=C
echo "uid=$(id -u)"
echo "platform=$(uname -s)-$(uname -m)"
echo "glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null)"
echo "os=$(. /etc/os-release 2>/dev/null && echo "$PRETTY_NAME")"
for program in bash tar gzip sha256sum; do command -v $program >/dev/null 2>&1 || echo "lacks=$program"; done
echo "opt=$(df -Pk /opt 2>/dev/null | awk 'NR == 2 { print $4 }')"
echo "tmp=$(df -Pk /var/tmp 2>/dev/null | awk 'NR == 2 { print $4 }')"
echo "installed=$(/usr/local/bin/secondsite-agent --version 2>/dev/null)"
`;

/** Looks at the machine. @throws DomainError RemoteFailure when no agent can run there */
export async function inspectTarget(session: SshSession): Promise<TargetFacts> {
  const { code, out } = await session.run('sh -s', { parts: [questions] });
  const told = new Map<string, string>();
  for (const line of out.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) told.set(line.slice(0, at), line.slice(at + 1).trim());
  }
  const of = (name: string): string => told.get(name) ?? '';
  if (code !== 0 || of('uid') === '')
    throw pushError('unsupported', 'The machine has no POSIX shell: it does not run Linux.');
  const platform = platforms[of('platform')];
  if (platform === undefined)
    throw pushError('unsupported', `There is no mobility agent for ${of('platform')} (${of('os')}).`);
  refuseOld(of('glibc'), of('os'));
  if (told.has('lacks')) throw pushError('unsupported', `The machine lacks the program ${of('lacks')}.`);
  const freeKib = Math.min(Number(of('opt') || of('tmp')), Number(of('tmp')));
  return {
    isRoot: of('uid') === '0',
    platform,
    osName: of('os'),
    freeKib,
    installedVersion: of('installed'),
  };
}

/** @throws DomainError RemoteFailure InsufficientDiskSpace */
export function refuseFull({ freeKib }: TargetFacts): void {
  if (freeKib >= neededKib) return;
  throw pushError(
    'noRoom',
    `The machine has ${Math.floor(freeKib / 1024)} MiB free in /opt or /var/tmp; ${neededKib / 1024} MiB are needed.`,
  );
}

const platforms: Readonly<Record<string, string>> = {
  'Linux-x86_64': 'linux-x64',
  'Linux-aarch64': 'linux-arm64',
};

function refuseOld(glibc: string, osName: string): void {
  const [, major = '0', minor = '0'] = /^glibc (\d+)\.(\d+)/u.exec(glibc) ?? [];
  const [wantedMajor, wantedMinor] = oldestGlibc;
  if (Number(major) > wantedMajor || (Number(major) === wantedMajor && Number(minor) >= wantedMinor)) return;
  throw pushError(
    'unsupported',
    `The mobility agent needs glibc ${oldestGlibc.join('.')} or newer; the machine (${osName}) has ${glibc === '' ? 'another C library' : glibc}.`,
  );
}

/** Runs commands on the machine as root. */
export class RootShell {
  readonly #session: SshSession;
  readonly #prefix: string;
  /** What sudo reads before the command does. */
  readonly #password: string | undefined;

  private constructor(session: SshSession, prefix: string, password?: string) {
    this.#session = session;
    this.#prefix = prefix;
    this.#password = password;
  }

  /** As root itself, by sudo without a password, or by sudo with the account's. @throws DomainError RemoteFailure 95517 */
  static async open(
    session: SshSession,
    { userName, password }: SshLogin,
    isRoot: boolean,
  ): Promise<RootShell> {
    if (isRoot) return new RootShell(session, '');
    // -k: what sudo remembers does not count, so that it asks, or does not ask, every time alike.
    const free = await session.run('sudo -k -n -- true');
    if (free.code === 0) return new RootShell(session, 'sudo -n -- ');
    if (password !== '') {
      const shell = new RootShell(session, "sudo -k -S -p '' -- ", password);
      const { code, err } = await shell.run('true');
      if (code === 0) return shell;
      throw pushError('notRoot', `sudo does not let '${userName}' become root: ${lastLine(err)}`);
    }
    throw pushError('notRoot', `'${userName}' is not root, and sudo refuses: ${lastLine(free.err)}`);
  }

  run(command: string, input: Input = { parts: [] }): Promise<Ended> {
    const { parts, ...rest } = input;
    const first = this.#password === undefined ? [] : [`${this.#password}\n`];
    return this.#session.run(`${this.#prefix}${command}`, { ...rest, parts: [...first, ...parts] });
  }
}

/** The last thing that a program said, in one line. */
export function lastLine(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  return (lines.at(-1) ?? 'it says nothing').slice(0, 1_000);
}
