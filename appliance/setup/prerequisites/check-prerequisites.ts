import { DomainError, type Fault } from '../../../shared/fault.ts';
import type { PrerequisiteCheck, PrerequisiteReport } from '../../../shared/wire/prerequisite.ts';
import { clockDifference } from '../../configuration-server/registration.ts';
import type { WebClient } from '../../configuration-server/web-client.ts';
import { isDataFolderTaken } from '../../configuration-server/single-run.ts';
import { judgeMachine } from './judge-machine.ts';
import { judgeNetwork } from './judge-network.ts';
import type { MachineFacts, NetworkFacts } from './machine-facts.ts';
import { measureMachine } from './measure-machine.ts';
import { measurePort } from './ports.ts';
import { profiles } from './profile.ts';
import { askTimeServer, findTimeServer } from './time-server.ts';

/** What the machine is checked for. */
export interface PrerequisiteOptions {
  dataFolder: string;
  host: string;
  /** 0: a free one is taken at the first start. */
  port: number;
  /** Base address of the vault's service, and what speaks to it; left out while no vault is known. */
  service?: { endpoint: string; web: WebClient } | undefined;
  /** `host` or `host:port`; left out, the one that the system's own time service uses. */
  timeServer?: string | undefined;
  /** Whether it is the appliance itself that has the port; left out, it is when it runs. */
  isOurs?: () => boolean;
}

/** Measures the machine and its network, and judges both. */
export async function checkPrerequisites(options: PrerequisiteOptions): Promise<PrerequisiteReport> {
  const [machine, network] = await Promise.all([measureMachine(options.dataFolder), measureNetwork(options)]);
  return judge(machine, network, Date.now());
}

/** The report on what was measured. */
export function judge(machine: MachineFacts, network: NetworkFacts, nowMs: number): PrerequisiteReport {
  const profile = profiles[machine.platform];
  const checks = [...judgeMachine(machine, profile), ...judgeNetwork(network)];
  const isUndersized = checks.some(({ name, outcome }) => sizes.has(name) && outcome === 'Warning');
  return {
    profile: profile.name,
    outcome: worst(checks),
    undersized: isUndersized,
    measuredAtMs: nowMs,
    checks,
  };
}

/** @throws DomainError ClockSkew, Unavailable (the vault, nothing else) or Conflict, with all that failed and what to do. */
export function refuseFailed(report: PrerequisiteReport): void {
  const failed = report.checks.filter(({ outcome }) => outcome === 'Failed');
  if (failed.length === 0) return;
  throw new DomainError({
    code: codeOf(failed),
    message: failed
      .map(({ name, found, wanted }) => `${name}: found ${found}; wanted ${wanted}.`)
      .join('\n')
      .slice(0, 4_000),
    target: failed.map(({ name }) => name).join(', '),
    recommendedAction: failed
      .map(({ action }) => action)
      .join('\n')
      .slice(0, 4_000),
  });
}

/** @throws DomainError Conflict with what is smaller than recommended. */
export function refuseUndersized({ undersized, checks }: PrerequisiteReport): void {
  if (!undersized) return;
  const small = checks.filter(({ name, outcome }) => sizes.has(name) && outcome === 'Warning');
  throw new DomainError({
    code: 'Conflict',
    message: small
      .map(({ name, found, wanted }) => `${name}: found ${found}; wanted ${wanted}.`)
      .join('\n')
      .slice(0, 4_000),
    target: 'undersized',
    recommendedAction: 'Give the machine more, or accept it as it is with `acceptUndersized: true`.',
  });
}

function codeOf(failed: readonly PrerequisiteCheck[]): Fault['code'] {
  if (failed.every(({ name }) => name.startsWith('clock'))) return 'ClockSkew';
  return failed.every(({ name }) => name === 'vaultReachable') ? 'Unavailable' : 'Conflict';
}

const sizes = new Set<PrerequisiteCheck['name']>([
  'processors',
  'memory',
  'disks',
  'cacheSpace',
  'retentionSpace',
]);

function worst(checks: readonly PrerequisiteCheck[]): PrerequisiteReport['outcome'] {
  const outcomes = new Set(checks.map(({ outcome }) => outcome));
  if (outcomes.has('Failed')) return 'Failed';
  return outcomes.has('Warning') ? 'Warning' : 'Passed';
}

async function measureNetwork(options: PrerequisiteOptions): Promise<NetworkFacts> {
  const { dataFolder, host, port, service, timeServer = findTimeServer() } = options;
  const isOurs = options.isOurs ?? ((): boolean => isDataFolderTaken(dataFolder));
  const [dataPort, httpsPort, cloud, timeServerClock] = await Promise.all([
    port === 0 ? ('chosenAtStart' as const) : measurePort(port, host, isOurs),
    measurePort(443, host, () => false),
    service === undefined ? undefined : measureService(service),
    timeServer === undefined ? undefined : askTimeServer(timeServer),
  ]);
  return { dataPort, httpsPort, vault: cloud?.vault, serviceClock: cloud?.clock, timeServerClock };
}

/** Any answer shows that the service is reached; every HTTP server tells its time with it. */
async function measureService({
  endpoint,
  web,
}: NonNullable<PrerequisiteOptions['service']>): Promise<Required<Cloud>> {
  const address = new URL(endpoint).host;
  const proxy = web.proxy === undefined ? {} : { proxy: web.proxy };
  const sentAtMs = Date.now();
  try {
    const { headers } = await web.send({ method: 'GET', url: endpoint });
    const serviceMs = Date.parse(String(headers['date']));
    const clock = Number.isNaN(serviceMs)
      ? { source: address, reason: 'it tells no time' }
      : // the header has whole seconds, cut off
        { source: address, differenceMs: clockDifference(serviceMs + 500, sentAtMs, Date.now()) };
    return { vault: { address, ...proxy }, clock };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const { fault } = error;
    return { vault: { address, ...proxy, fault }, clock: { source: address, reason: 'it is not reached' } };
  }
}

interface Cloud {
  vault: NetworkFacts['vault'];
  clock: NetworkFacts['serviceClock'];
}
