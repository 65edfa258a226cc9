import { expect, test } from 'vitest';
import { GiB } from '../../../shared/bytes.ts';
import { DomainError } from '../../../shared/fault.ts';
import { PrerequisiteReport, type PrerequisiteCheck } from '../../../shared/wire/prerequisite.ts';
import { judge, refuseFailed } from './check-prerequisites.ts';
import { describePrerequisites } from './describe-prerequisites.ts';
import type { MachineFacts, NetworkFacts, PortFact } from './machine-facts.ts';

const minute = 60_000;

const large: MachineFacts = {
  platform: 'linux',
  os: { id: 'debian', version: '13', name: 'Debian GNU/Linux 13 (trixie)' },
  locale: 'C.UTF-8',
  processors: 8,
  memoryBytes: 11.7 * GiB,
  disks: ['sda', 'sdb', 'sdc'].map((name) => ({ name, sizeBytes: 700 * GiB })),
  cache: { path: '/cache', freeBytes: 650 * GiB, disk: 'sdb' },
  systemDisk: 'sda',
  retention: { path: '/retention', freeBytes: 650 * GiB, disk: 'sdc' },
  serverRoles: [],
  isVMware: true,
  adapters: [{ name: 'ens192', driver: 'vmxnet3', addresses: ['10.0.0.4'], isDynamic: false }],
};

const reached: NetworkFacts = {
  dataPort: { port: 9443, state: 'free', reachedAt: ['10.0.0.4'] },
  httpsPort: { port: 443, state: 'free', reachedAt: [] },
  vault: { address: 'contoso.azurewebsites.net' },
  serviceClock: { source: 'contoso.azurewebsites.net', differenceMs: 400 },
  timeServerClock: { source: 'time.contoso.com', differenceMs: -400 },
};

function report(
  machine: Partial<MachineFacts> = {},
  network: Partial<NetworkFacts> = {},
): PrerequisiteReport {
  return judge({ ...large, ...machine }, { ...reached, ...network }, Date.now());
}

function outcomeOf(result: PrerequisiteReport, name: PrerequisiteCheck['name']) {
  return result.checks.find((check) => check.name === name)?.outcome;
}

test('a machine of the classic configuration server’s size passes everything', () => {
  const result = report();
  expect(PrerequisiteReport.parse(result)).toEqual(result);
  expect(result).toMatchObject({ outcome: 'Passed', undersized: false, profile: 'linux' });
  expect(result.checks.filter(({ action }) => action !== '')).toEqual([]);
});

test.each<[string, Partial<MachineFacts>, PrerequisiteCheck['name']]>([
  ['few processors', { processors: 4 }, 'processors'],
  ['little memory', { memoryBytes: 8 * GiB }, 'memory'],
  ['one disk', { disks: [{ name: 'sda', sizeBytes: GiB }] }, 'disks'],
  ['little room', { cache: { path: '/c', freeBytes: 100 * GiB, disk: 'sdb' } }, 'cacheSpace'],
  ['the cache on the system’s disk', { cache: { ...large.cache, disk: 'sda' } }, 'cacheSpace'],
  ['no disk for retention', { retention: undefined }, 'retentionSpace'],
])('%s is accepted, with a warning that the machine is undersized', (_, machine, name) => {
  const result = report(machine);
  expect(outcomeOf(result, name)).toBe('Warning');
  expect(result).toMatchObject({ outcome: 'Warning', undersized: true });
  expect(() => refuseFailed(result)).not.toThrow();
});

test.each<[string, Partial<MachineFacts>, PrerequisiteCheck['name']]>([
  ['a system nobody tested', { os: { id: 'gentoo', version: '2.15', name: 'Gentoo' } }, 'operatingSystem'],
  ['an old release', { os: { id: 'debian', version: '11', name: 'Debian 11' } }, 'operatingSystem'],
  ['another locale', { locale: 'POSIX' }, 'locale'],
  ['a web server', { serverRoles: [{ role: 'web', program: 'nginx' }] }, 'serverRoles'],
  [
    'an E1000 card',
    { adapters: [{ name: 'e', driver: 'e1000', addresses: [], isDynamic: false }] },
    'networkAdapter',
  ],
  ['DHCP', { adapters: [{ name: 'e', driver: 'vmxnet3', addresses: [], isDynamic: true }] }, 'staticAddress'],
  ['what can’t be measured', { serverRoles: undefined }, 'serverRoles'],
])('%s is a warning, and no question of size', (_, machine, name) => {
  const result = report(machine);
  expect(outcomeOf(result, name)).toBe('Warning');
  expect(result.undersized).toBe(false);
});

test('a card of another type is fine in a machine that is not VMware’s', () => {
  const adapters = [{ name: 'eth0', driver: 'virtio_net', addresses: ['10.0.0.4'], isDynamic: false }];
  expect(outcomeOf(report({ isVMware: false, adapters }), 'networkAdapter')).toBe('Passed');
});

test('Windows is judged by its own table', () => {
  const os = { id: 'windows', version: '10.0.14393', name: 'Windows Server 2016 Standard' };
  const windows = report({ platform: 'windows', os, locale: 'en-US' });
  expect(windows).toMatchObject({ profile: 'windows', outcome: 'Passed' });
  expect(outcomeOf(report({ platform: 'windows', os, locale: 'de-DE' }), 'locale')).toBe('Warning');
});

test.each<[string, Partial<MachineFacts>, Partial<NetworkFacts>, string]>([
  ['no room to install', { cache: { path: '/c', freeBytes: 4 * GiB, disk: 'sdb' } }, {}, 'Conflict'],
  ['443 for data', {}, { dataPort: { port: 443, state: 'free', reachedAt: [] } }, 'Conflict'],
  ['a taken port', {}, { dataPort: { port: 9443, state: 'taken', reachedAt: [] } }, 'Conflict'],
  [
    'a clock 16 minutes behind',
    {},
    { serviceClock: { source: 'x', differenceMs: 16 * minute } },
    'ClockSkew',
  ],
  [
    'a clock 16 minutes ahead',
    {},
    { timeServerClock: { source: 'x', differenceMs: -16 * minute } },
    'ClockSkew',
  ],
  [
    'a vault out of reach',
    {},
    { vault: { address: 'x', fault: { code: 'Unavailable', message: 'x can’t be reached' } } },
    'Unavailable',
  ],
])('refuses %s', (_, machine, network, code) => {
  const result = report(machine, network);
  expect(result.outcome).toBe('Failed');
  const error: unknown = catching(() => refuseFailed(result));
  expect(error).toMatchObject({ fault: { code, recommendedAction: expect.stringMatching(/\w/u) } });
});

test('a clock that is 6 minutes off is a warning', () => {
  const result = report({}, { serviceClock: { source: 'the service', differenceMs: 6 * minute } });
  expect(result.checks.find(({ name }) => name === 'clockOfService')).toMatchObject({
    outcome: 'Warning',
    found: '6 minutes behind the service',
  });
});

test('a port that this appliance itself listens on is its own', () => {
  const dataPort: PortFact = { port: 9443, state: 'ours', reachedAt: ['10.0.0.4'] };
  expect(outcomeOf(report({}, { dataPort }), 'dataPort')).toBe('Passed');
});

test('says for people what was found, and what to do where it is not what is wanted', () => {
  const words = describePrerequisites(report({ processors: 2 })).split('\n');
  const at = words.findIndex((line) => line.includes('Processors'));
  expect(words[at]).toMatch(/^ {2}WARN {2}Processors +2 processor cores$/u);
  expect(words[at + 1]).toMatch(/^ +wanted: 8 processor cores or more$/u);
  expect(words[at + 2]).toMatch(/^ +Give the machine more cores/u);
});

function catching(run: () => void): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}
