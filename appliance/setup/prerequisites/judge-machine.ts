import { GiB } from '../../../shared/bytes.ts';
import type { PrerequisiteCheck } from '../../../shared/wire/prerequisite.ts';
import type { MachineFacts } from './machine-facts.ts';
import type { Profile } from './profile.ts';

/** A check but for its name. */
export type Verdict = Omit<PrerequisiteCheck, 'name'>;

/** What a machine is found to be against what is wanted. */
export function judgeMachine(facts: MachineFacts, profile: Profile): PrerequisiteCheck[] {
  return [
    { name: 'operatingSystem', ...judgeSystem(facts, profile) },
    { name: 'processors', ...atLeast(facts.processors, profile.processors, processorWords) },
    {
      name: 'memory',
      ...atLeast(facts.memoryBytes, profile.memoryBytes * usableShare, memoryWords(profile)),
    },
    { name: 'disks', ...judgeDisks(facts, profile) },
    { name: 'cacheSpace', ...judgeCache(facts, profile) },
    { name: 'retentionSpace', ...judgeRetention(facts, profile) },
    { name: 'locale', ...judgeLocale(facts, profile) },
    { name: 'serverRoles', ...judgeRoles(facts) },
    { name: 'networkAdapter', ...judgeAdapters(facts, profile) },
    { name: 'staticAddress', ...judgeAddresses(facts) },
  ];
}

/** The verdict when everything is as wanted. */
export function passed(found: string, wanted: string): Verdict {
  return { outcome: 'Passed', found, wanted, action: '' };
}

/** Bytes as people compare them with a requirement. */
export function inGiB(bytes: number): string {
  return `${(bytes / GiB).toFixed(1)} GiB`;
}

const notMeasured = 'could not be measured here';
// Firmware and kernel keep a part of the memory for themselves: a machine of 12 GiB shows a little less.
const usableShare = 0.95;

interface SizeWords {
  show: (value: number) => string;
  wanted: string;
  action: string;
}

const processorWords: SizeWords = {
  show: (value) => `${value} processor cores`,
  wanted: '8 processor cores or more',
  action: 'Give the machine more cores. With fewer it protects fewer machines at once.',
};

function memoryWords({ memoryBytes }: Profile): SizeWords {
  return {
    show: (value) => `${inGiB(value)} of memory`,
    wanted: `${inGiB(memoryBytes)} of memory or more`,
    action: 'Give the machine more memory. With less it protects fewer machines at once.',
  };
}

function atLeast(value: number, least: number, { show, wanted, action }: SizeWords): Verdict {
  return value >= least
    ? passed(show(value), wanted)
    : { outcome: 'Warning', found: show(value), wanted, action };
}

function judgeSystem({ os, platform }: MachineFacts, profile: Profile): Verdict {
  const oldest = profile.systems[os.id];
  const known = Object.entries(profile.systems).map(([id, version]) => `${id} ${version}`);
  const wanted = `one of ${known.join(', ')}, or a later release of them`;
  const found = os.name;
  if (oldest !== undefined && isAsNew(os.version, oldest)) return passed(found, wanted);
  if (platform === 'windows' && os.id !== 'windows') {
    return { outcome: 'Failed', found, wanted, action: 'Set the appliance up on a machine with Linux.' };
  }
  const action = 'It may well work. For support, use one of the systems that the appliance is tested on.';
  return { outcome: 'Warning', found, wanted, action };
}

/** Compares versions number by number: 22.10 is later than 22.9. */
function isAsNew(version: string, oldest: string): boolean {
  return version.localeCompare(oldest, 'en', { numeric: true }) >= 0;
}

function judgeDisks({ disks }: MachineFacts, profile: Profile): Verdict {
  const wanted = `${profile.disks} disks: system, cache, retention (for failback)`;
  if (disks === undefined) return unmeasured(wanted);
  const found = disks.map(({ name, sizeBytes }) => `${name} ${inGiB(sizeBytes)}`).join(', ');
  const count =
    `${disks.length} disk${disks.length === 1 ? '' : 's'}${found === '' ? '' : `: ${found}`}`.slice(0, 1_000);
  if (disks.length >= profile.disks) return passed(count, wanted);
  const action = 'Add a disk for the cache and one for retention, so that neither fills the system’s disk.';
  return { outcome: 'Warning', found: count, wanted, action };
}

function judgeCache({ cache, systemDisk }: MachineFacts, profile: Profile): Verdict {
  const wanted = `${inGiB(profile.cacheFreeBytes)} free (at the very least ${inGiB(profile.leastFreeBytes)}), on a disk of its own`;
  const shares = cache.disk !== undefined && cache.disk === systemDisk;
  const found = `${inGiB(cache.freeBytes)} free at ${cache.path}${shares ? ', on the system’s disk' : ''}`;
  if (cache.freeBytes < profile.leastFreeBytes) {
    return {
      outcome: 'Failed',
      found,
      wanted,
      action: 'Choose a data folder on a larger disk, or make room.',
    };
  }
  if (cache.freeBytes >= profile.cacheFreeBytes && !shares) return passed(found, wanted);
  const action =
    'Put the data folder on a larger disk of its own: while the link to Azure is gone, all changes wait there.';
  return { outcome: 'Warning', found, wanted, action };
}

function judgeRetention({ retention, disks }: MachineFacts, profile: Profile): Verdict {
  const wanted = `${inGiB(profile.retentionFreeBytes)} free on a third disk, for failback`;
  if (retention === undefined && disks === undefined) return unmeasured(wanted);
  const found =
    retention === undefined
      ? 'no third disk with a file system'
      : `${inGiB(retention.freeBytes)} free at ${retention.path}`;
  if (retention !== undefined && retention.freeBytes >= profile.retentionFreeBytes)
    return passed(found, wanted);
  return { outcome: 'Warning', found, wanted, action: 'Add it before you fail machines back to this site.' };
}

function judgeLocale({ locale }: MachineFacts, { locale: wish }: Profile): Verdict {
  if (wish.pattern.test(locale)) return passed(locale, wish.wanted);
  const action =
    'Change the system’s locale (on Linux: `localectl set-locale LANG=C.UTF-8`), and log in again.';
  return { outcome: 'Warning', found: locale, wanted: wish.wanted, action };
}

function judgeRoles({ serverRoles }: MachineFacts): Verdict {
  const wanted = 'no directory, web or hypervisor server on the machine';
  if (serverRoles === undefined) return unmeasured(wanted);
  if (serverRoles.length === 0) return passed('none of them runs', wanted);
  const found = serverRoles
    .map(({ role, program }) => `${program} (${role})`)
    .join(', ')
    .slice(0, 1_000);
  const action =
    'Move those servers to another machine, or stop them: they compete for ports, memory and disks.';
  return { outcome: 'Warning', found, wanted, action };
}

function judgeAdapters({ adapters, isVMware }: MachineFacts, { adapterDriver }: Profile): Verdict {
  const wanted = `network cards of type ${adapterDriver.toUpperCase()} where the machine is a VMware one`;
  if (adapters === undefined) return unmeasured(wanted);
  const found = adapters
    .map(({ name, driver }) => `${name} (${driver || 'no driver of its own'})`)
    .join(', ');
  if (adapters.length === 0) {
    const action = 'Connect the machine to the network: it has no default route.';
    return { outcome: 'Warning', found: 'no card that other networks are reached through', wanted, action };
  }
  if (!isVMware || adapters.every(({ driver }) => driver === adapterDriver)) return passed(found, wanted);
  const action =
    'Change the adapter’s type to VMXNET3 in the machine’s settings: others move a fraction of the data.';
  return { outcome: 'Warning', found, wanted, action };
}

function judgeAddresses({ adapters }: MachineFacts): Verdict {
  const wanted = 'a static IP address';
  const judged = adapters?.filter(({ isDynamic }) => isDynamic !== undefined);
  if (judged === undefined || judged.length === 0) return unmeasured(wanted);
  const found = judged
    .map(
      ({ name, addresses, isDynamic }) => `${name} ${addresses.join(' ')} (${isDynamic ? 'DHCP' : 'static'})`,
    )
    .join(', ');
  if (judged.every(({ isDynamic }) => !isDynamic)) return passed(found, wanted);
  const action =
    'Give the machine a static address, or reserve its address in DHCP: the agents keep the one they know.';
  return { outcome: 'Warning', found, wanted, action };
}

function unmeasured(wanted: string): Verdict {
  return { outcome: 'Warning', found: notMeasured, wanted, action: 'See to it yourself that it is so.' };
}
