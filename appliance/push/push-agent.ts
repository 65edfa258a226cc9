import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { MiB } from '../../shared/bytes.ts';
import { compareVersions } from '../../shared/compare-versions.ts';
import { DomainError } from '../../shared/fault.ts';
import type { PushTarget } from '../../shared/wire/command.ts';
import { getLogin } from '../configuration-server/account.ts';
import type { Store } from '../configuration-server/store.ts';
import { getAgentPackage, type AgentPackage } from './agent-packages.ts';
import { fingerprintOfHostKey, pinHostKey } from './host-key.ts';
import { pushError, type PushReason } from './push-error.ts';
import { SshSession, type SshLogin } from './ssh-session.ts';
import { inspectTarget, lastLine, refuseFull, RootShell, type TargetFacts } from './target.ts';

/** What is pushed to which machine. */
export interface Push {
  machineName: string;
  biosUuid: string;
  target: PushTarget;
  /**
   * Enrols the machine at the process server. Without, only a newer version is installed and the enrolment stays.
   * `host`: undefined where the appliance listens at all its addresses; then the machine uses the one that we came from.
   */
  enrolAt?: { host: string | undefined; port: number; passphrase: string };
  /** Told as it goes. `percent`: of the whole push. */
  onProgress: (step: string, percent: number) => void;
}

/** What became of a push. */
export interface Pushed {
  /** The version that the machine has now. */
  version: string;
  /** The version that it had, where it had one. */
  before?: string;
}

/** Progress of a push by steps; copying is the long one. */
const share = { connecting: 5, checking: 10, copying: 15, installing: 85 } as const;

/** What the installer's exit status means; see packaging/header.sh. */
const reasonOfExit: Readonly<Record<number, PushReason>> = {
  4: 'unsupported',
  5: 'noRoom',
  6: 'notRoot',
  7: 'rolledBack',
  8: 'enrolmentRefused',
};

/**
 * Installs or upgrades the mobility agent of a Linux machine over SSH. Repeating it is harmless; whatever happens, no file
 * of the push is left on the machine, and a first installation that fails leaves nothing at all.
 *
 * @throws DomainError RemoteFailure, its armCode what Site Recovery says in that case; the signal's reason
 */
export async function pushAgent(store: Store, push: Push, signal: AbortSignal): Promise<Pushed> {
  const { target, machineName, onProgress } = push;
  if (target.osType === 'WINDOWS')
    throw pushError('windows', `The mobility agent can not be pushed to '${machineName}': it runs Windows.`);
  const login = getLogin(store, target.accountId);
  onProgress('Connecting to the machine', share.connecting);
  const session = await connectAny(store, push, login, signal);
  try {
    onProgress('Checking the machine', share.checking);
    const facts = await inspectTarget(session);
    const root = await RootShell.open(session, login, facts.isRoot);
    await refuseOther(root, push);
    const chosen = await getAgentPackage(store, facts.platform);
    const before = facts.installedVersion === '' ? {} : { before: facts.installedVersion };
    const isNewEnough = before.before !== undefined && compareVersions(before.before, chosen.version) >= 0;
    if (push.enrolAt === undefined && isNewEnough) return { version: facts.installedVersion, ...before };
    await copyAndInstall({ session, root, push, facts, chosen });
    return { version: chosen.version, ...before };
  } finally {
    session.close();
  }
}

/** The first of its addresses that answers; one that refuses the account is the right one. */
async function connectAny(
  store: Store,
  push: Push,
  login: SshLogin & { port: number },
  signal: AbortSignal,
): Promise<SshSession> {
  const { addresses } = push.target;
  if (addresses.length === 0)
    throw pushError('noAddress', `No address of the machine '${push.machineName}' is known.`);
  let first: unknown;
  for (const address of addresses) {
    try {
      const place = { address, port: login.port };
      const accept = (key: Buffer): void => acceptKey(store, `${address}:${login.port}`, key);
      return await SshSession.connect(place, login, accept, signal);
    } catch (error) {
      if (!(error instanceof DomainError) || error.fault.armCode !== '95117') throw error;
      first ??= error;
    }
  }
  throw first;
}

function acceptKey(store: Store, host: string, key: Buffer): void {
  const shown = fingerprintOfHostKey(key);
  const pinned = pinHostKey(store, host, shown);
  if (pinned !== shown)
    throw pushError(
      'hostKeyChanged',
      `${host} shows the host key ${shown}, not ${pinned} as when it was first seen.`,
    );
}

/** A machine that another got the address of must not get its agent. Firmwares give the first parts in either byte order. */
async function refuseOther(root: RootShell, { biosUuid, machineName }: Push): Promise<void> {
  const { out } = await root.run('cat /sys/class/dmi/id/product_uuid');
  const found = out.trim().toLowerCase();
  if (found === '' || found === biosUuid.toLowerCase() || found === otherOrder(biosUuid.toLowerCase()))
    return;
  throw pushError(
    'otherMachine',
    `The machine that answers has the BIOS UUID ${found}; '${machineName}' has ${biosUuid.toLowerCase()}.`,
  );
}

function otherOrder(uuid: string): string {
  return uuid
    .split('-')
    .map((part, at) => (at < 3 ? (part.match(/../gu) ?? []).toReversed().join('') : part))
    .join('-');
}

async function copyAndInstall({
  session,
  root,
  push,
  facts,
  chosen,
}: {
  session: SshSession;
  root: RootShell;
  push: Push;
  facts: TargetFacts;
  chosen: AgentPackage;
}): Promise<void> {
  refuseFull(facts);
  const made = await session.run('umask 077; mktemp -d /var/tmp/secondsite-push.XXXXXXXXXX');
  const folder = made.out.trim();
  if (made.code !== 0 || !/^\/var\/tmp\/secondsite-push\.\w+$/u.test(folder))
    throw pushError('noRoom', `There is no writing to /var/tmp of the machine: ${lastLine(made.err)}`);
  try {
    const path = `${folder}/${basename(chosen.path)}`;
    await copy(session, { path, chosen, onProgress: push.onProgress });
    push.onProgress(`Installing the Mobility Service ${chosen.version}`, share.installing);
    await runInstaller(session, root, { path, push, version: chosen.version });
  } finally {
    await session.tidy(`rm -rf -- '${folder}'`);
  }
}

async function copy(
  session: SshSession,
  { path, chosen, onProgress }: { path: string; chosen: AgentPackage; onProgress: Push['onProgress'] },
): Promise<void> {
  const bytes = await readFile(chosen.path);
  let told = -1;
  const onSent = (sentBytes: number): void => {
    const percent = Math.floor((100 * sentBytes) / bytes.length);
    if (percent < told + 5) return;
    told = percent;
    const whole = share.copying + ((share.installing - share.copying) * sentBytes) / bytes.length;
    onProgress(
      `Copying the Mobility Service (${(bytes.length / MiB).toFixed(0)} MiB): ${percent} %`,
      Math.floor(whole),
    );
  };
  const { code, err } = await session.run(`cat >'${path}'`, { parts: [bytes], onSent });
  if (code !== 0)
    throw pushError('noRoom', `The package could not be written to the machine: ${lastLine(err)}`);
  const sum = await session.run(`sha256sum <'${path}'`);
  if (!sum.out.startsWith(chosen.sha256))
    throw pushError('failed', 'The package arrived damaged on the machine.');
}

async function runInstaller(
  session: SshSession,
  root: RootShell,
  { path, push, version }: { path: string; push: Push; version: string },
): Promise<void> {
  const { enrolAt, biosUuid, machineName } = push;
  const words = [`sh '${path}' install --json`];
  const parts: string[] = [];
  if (enrolAt) {
    const host = enrolAt.host ?? session.localAddress;
    const server = host.includes(':') ? `[${host}]:${enrolAt.port}` : `${host}:${enrolAt.port}`;
    words.push(`--server '${server}' --passphrase-file - --bios-uuid ${biosUuid.toLowerCase()}`);
    parts.push(`${enrolAt.passphrase}\n`);
  }
  const { code, err } = await root.run(words.join(' '), { parts });
  if (code === 0) return;
  throw pushError(
    reasonOfExit[code] ?? 'failed',
    `The Mobility Service ${version} could not be installed on '${machineName}': ${err.trim().slice(0, 3_000) || `status ${code}`}`,
  );
}
