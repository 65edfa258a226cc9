import type { PrerequisiteCheck } from '../../../shared/wire/prerequisite.ts';
import { clockToleranceMs } from '../../configuration-server/registration.ts';
import type { ClockFact, NetworkFacts, PortFact } from './machine-facts.ts';
import { passed, type Verdict } from './judge-machine.ts';

/** Beyond this a clock drifts: it will be refused one day. */
const clockWarningMs = 5 * 60 * 1000;

/** What a machine's network is found to be against what is wanted. What can't be measured yet is left out. */
export function judgeNetwork(facts: NetworkFacts): PrerequisiteCheck[] {
  const { dataPort, httpsPort, vault, serviceClock, timeServerClock } = facts;
  return [
    { name: 'dataPort', ...judgeDataPort(dataPort) },
    { name: 'httpsPort', ...judgeHttpsPort(httpsPort) },
    ...(vault === undefined ? [] : [{ name: 'vaultReachable', ...judgeVault(vault) } as const]),
    ...(serviceClock === undefined
      ? []
      : [{ name: 'clockOfService', ...judgeClock(serviceClock, 'the vault’s service') } as const]),
    { name: 'clockOfTimeServer', ...judgeTimeServer(timeServerClock) },
  ];
}

function judgeDataPort(port: NetworkFacts['dataPort']): Verdict {
  if (port === 'chosenAtStart') return passed('a free port is taken at the first start', 'a free port');
  const wanted = `port ${port.port} free, and reached at the machine’s own addresses`;
  if (port.port === 443) {
    const action = 'Use 9443, or any other free port: 443 is never used for replication data.';
    return { outcome: 'Failed', found: '443 is asked for', wanted: 'a port other than 443', action };
  }
  if (port.state === 'ours') return passed(`this appliance listens there${at(port)}`, wanted);
  if (port.state !== 'free') {
    const action = `Stop what listens on port ${port.port}, or choose another port with --port.`;
    return { outcome: 'Failed', found: port.reason ?? port.state, wanted, action };
  }
  if (port.reachedAt.length > 0) return passed(`free${at(port)}`, wanted);
  const action = `Let TCP port ${port.port} through the machine’s own firewall: mobility agents come in there.`;
  return { outcome: 'Warning', found: 'free, and not reached at any address of the machine', wanted, action };
}

function judgeHttpsPort(port: PortFact): Verdict {
  const wanted = 'port 443 in no other server’s hands';
  if (port.state !== 'taken') return passed('free', wanted);
  const action =
    'Move that server to another machine: it is a sign that this one is not the appliance’s alone.';
  return { outcome: 'Warning', found: port.reason ?? 'taken', wanted, action };
}

function at({ reachedAt }: PortFact): string {
  return reachedAt.length === 0 ? '' : `, reached at ${reachedAt.join(', ')}`.slice(0, 900);
}

function judgeVault({ address, proxy, fault }: NonNullable<NetworkFacts['vault']>): Verdict {
  const through = proxy === undefined ? 'directly' : `through the proxy ${proxy}`;
  const wanted = `${address} reached ${through}`;
  if (fault === undefined) return passed(`it answers ${through}`, wanted);
  const action =
    fault.recommendedAction ?? 'Let HTTPS out to that address in the firewall, or set up a proxy.';
  return { outcome: 'Failed', found: fault.message.slice(0, 1_000), wanted, action: action.slice(0, 1_000) };
}

function judgeClock(clock: ClockFact, whose: string): Verdict {
  const wanted = `within 15 minutes of ${whose}`;
  if (clock.differenceMs === undefined) {
    const found = `${clock.source}: ${clock.reason ?? 'no answer'}`.slice(0, 1_000);
    return { outcome: 'Warning', found, wanted, action: 'See to it yourself that the clock is right.' };
  }
  const seconds = Math.round(Math.abs(clock.differenceMs) / 1_000);
  const direction = clock.differenceMs > 0 ? 'behind' : 'ahead of';
  const found =
    seconds === 0 ? `the same as ${clock.source}` : `${inWords(seconds)} ${direction} ${clock.source}`;
  if (Math.abs(clock.differenceMs) <= clockWarningMs) return passed(found, wanted);
  const outcome = Math.abs(clock.differenceMs) > clockToleranceMs ? 'Failed' : 'Warning';
  const action = 'Set the clock, and keep it right with a time service such as chrony or systemd-timesyncd.';
  return { outcome, found, wanted, action };
}

function judgeTimeServer(clock: ClockFact | undefined): Verdict {
  if (clock !== undefined) return judgeClock(clock, 'a time server');
  const action =
    'Install chrony, or name a server in /etc/systemd/timesyncd.conf; --time-server checks against one.';
  return {
    outcome: 'Warning',
    found: 'no time server is set up',
    wanted: 'within 15 minutes of a time server',
    action,
  };
}

function inWords(seconds: number): string {
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} minutes`;
}
