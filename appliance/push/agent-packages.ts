import { createHash, createPublicKey, verify } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareVersions } from '../../shared/compare-versions.ts';
import { pipeline } from 'node:stream/promises';
import { findSetting, putSetting, type Store } from '../configuration-server/store.ts';
import { findPackageFolder } from '../service/product.ts';
import { pushError } from './push-error.ts';

/** A mobility agent's package that may be pushed. */
export interface AgentPackage {
  path: string;
  version: string;
  /** `linux-x64` or `linux-arm64`. */
  platform: string;
  sha256: string;
}

const pattern =
  /^(?<sha256>[0-9a-f]{64}) {2}(?<file>secondsite-agent-(?<version>\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?)-(?<platform>linux-[a-z0-9]+)\.run)$/u;
const keySetting = 'releaseKeyFingerprint';

/** Where packages may lie: what an operator put into the data folder comes before what the appliance came with. */
function packageFolders(store: Store): string[] {
  const own = findPackageFolder('secondsite-appliance');
  return [join(store.dataFolder, 'packages'), ...(own === undefined ? [] : [join(own, 'packages')])].filter(
    (folder) => existsSync(join(folder, 'SHA256SUMS')),
  );
}

/**
 * The packages that the appliance has, the newest first. Their checksums are signed by the release key that was pinned
 * when it was first seen.
 *
 * @throws DomainError RemoteFailure UntrustedPackage
 */
export function listAgentPackages(store: Store): AgentPackage[] {
  return packageFolders(store)
    .flatMap((folder) => readSums(store, folder))
    .toSorted((one, other) => compareVersions(other.version, one.version));
}

/** @throws DomainError RemoteFailure when there is none for the platform, or its content is not what was signed */
export async function getAgentPackage(store: Store, platform: string): Promise<AgentPackage> {
  const all = listAgentPackages(store);
  const found = all.find((one) => one.platform === platform);
  if (found === undefined) {
    if (all.length === 0)
      throw pushError('noPackage', 'The appliance has no package of the mobility agent to push.');
    const platforms = [...new Set(all.map((one) => one.platform))].join(', ');
    throw pushError(
      'unsupported',
      `The machine is ${platform}; the appliance has packages for ${platforms}.`,
    );
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(found.path), hash);
  if (hash.digest('hex') === found.sha256) return found;
  throw pushError('untrustedPackage', `${found.path} is not what its signed checksum says.`);
}

/** Accepts another release key from now on. */
export function trustReleaseKey(store: Store, fingerprint: string): void {
  putSetting(store, keySetting, fingerprint);
}

function readSums(store: Store, folder: string): AgentPackage[] {
  const sums = readFileSync(join(folder, 'SHA256SUMS'));
  requireSigned(store, folder, sums);
  const there = new Set(readdirSync(folder));
  return sums
    .toString('utf8')
    .split('\n')
    .flatMap((line) => {
      const { sha256, file, version, platform } = pattern.exec(line)?.groups ?? {};
      if (!sha256 || !file || !version || !platform || !there.has(file)) return [];
      return [{ path: join(folder, file), version, platform, sha256 }];
    });
}

function requireSigned(store: Store, folder: string, sums: Buffer): void {
  let fingerprint: string;
  let isSigned: boolean;
  try {
    const key = createPublicKey(readFileSync(join(folder, 'release.pub')));
    fingerprint = createHash('sha256')
      .update(key.export({ type: 'spki', format: 'der' }))
      .digest('hex');
    isSigned = verify('sha256', sums, key, readFileSync(join(folder, 'SHA256SUMS.sig')));
  } catch (error) {
    throw pushError(
      'untrustedPackage',
      `The signature of ${join(folder, 'SHA256SUMS')} can not be checked.`,
      error,
    );
  }
  if (!isSigned)
    throw pushError('untrustedPackage', `The signature of ${join(folder, 'SHA256SUMS')} is wrong.`);
  const pinned = findSetting(store, keySetting);
  if (pinned === undefined) trustReleaseKey(store, fingerprint);
  else if (pinned !== fingerprint)
    throw pushError(
      'untrustedPackage',
      `The packages in ${folder} are signed by the key ${fingerprint}, not by ${pinned} as those before.`,
    );
}
