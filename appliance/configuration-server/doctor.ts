import type { ApplianceStatus, Finding } from '../../shared/wire/appliance-control.ts';
import type { PrerequisiteReport } from '../../shared/wire/prerequisite.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const agentSilentMs = 15 * minuteMs;
const clockWarningMs = 5 * minuteMs;
const outboxMany = 100;

/** What is wrong with an appliance and what to do, and what was looked at and is right. The worst first. */
export function diagnose(
  status: ApplianceStatus,
  prerequisites: PrerequisiteReport,
  nowMs: number,
): Finding[] {
  const findings = [
    ...judgeRegistration(status),
    ...judgeCloud(status),
    ...status.vCenters.map(judgeVCenter),
    ...judgeProcessServer(status, nowMs),
    ...(status.replication ?? []).map(judgeReplication),
    ...status.agents.flatMap((agent) => judgeAgent(agent, nowMs)),
    ...judgeWaiting(status),
    ...prerequisites.checks.map(({ name, outcome, found, action }): Finding => ({
      subject: `prerequisite ${name}`,
      outcome,
      found,
      action,
    })),
  ];
  return findings.toSorted((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
}

const order: Finding['outcome'][] = ['Failed', 'Warning', 'Passed'];

function passed(subject: string, found: string): Finding {
  return { subject, outcome: 'Passed', found, action: '' };
}

function judgeRegistration({ state, applianceId, vaultName }: ApplianceStatus): Finding[] {
  const registered: Finding =
    applianceId === undefined
      ? {
          subject: 'registration',
          outcome: 'Failed',
          found: 'not registered at any vault',
          action: 'Run `secondsite appliance setup` with a registration key of the vault.',
        }
      : passed('registration', `registered at ${vaultName ?? 'a vault'}`);
  if (state === 'running') return [registered, passed('process', 'running')];
  const action = 'Start it with `secondsite appliance run`, or its systemd unit.';
  return [registered, { subject: 'process', outcome: 'Failed', found: 'stopped', action }];
}

function judgeCloud({ cloud }: ApplianceStatus): Finding[] {
  if (cloud === undefined) return [];
  const since = new Date(cloud.sinceMs).toISOString();
  if (cloud.fault !== undefined) {
    const { message: found, recommendedAction: action = 'Look at the log: `secondsite appliance logs`.' } =
      cloud.fault;
    return [{ subject: 'vault', outcome: 'Failed', found: `since ${since}: ${found}`, action }];
  }
  const minutes = Math.round((cloud.clockDifferenceMs ?? 0) / minuteMs);
  const clock: Finding[] =
    Math.abs(cloud.clockDifferenceMs ?? 0) > clockWarningMs
      ? [
          {
            subject: 'clock',
            outcome: 'Warning',
            found: `${Math.abs(minutes)} minutes ${minutes > 0 ? 'behind' : 'ahead of'} the vault; at 15 it is refused`,
            action: 'Set the clock, and keep it right with a time service such as chrony.',
          },
        ]
      : [];
  return [passed('vault', `${cloud.state} since ${since}`), ...clock];
}

function judgeVCenter(vCenter: ApplianceStatus['vCenters'][number]): Finding {
  const { vCenterName, fault, failingSinceMs, machines = 0, lastSuccessMs } = vCenter;
  const subject = `vCenter ${vCenterName}`;
  const last = lastSuccessMs === undefined ? 'never' : new Date(lastSuccessMs).toISOString();
  if (fault === undefined) return passed(subject, `${machines} machines, discovered ${last}`);
  const since = failingSinceMs === undefined ? '' : `since ${new Date(failingSinceMs).toISOString()}: `;
  return {
    subject,
    outcome: 'Failed',
    found: `${since}${fault.message} The last picture, of ${last}, has ${machines} machines.`,
    action: fault.recommendedAction ?? 'Look at the vCenter’s own log.',
  };
}

/**
 * Limits as Site Recovery has them for a process server. One look at processors and memory is no more than a warning:
 * critical is what stays so for 15 minutes, which the vault watches.
 */
function judgeProcessServer({ processServer }: ApplianceStatus, nowMs: number): Finding[] {
  if (processServer === undefined) return [];
  const { health, certificateExpiresAtMs } = processServer;
  const memoryPercent = 100 * (1 - health.memoryAvailableBytes / health.memoryTotalBytes);
  const cachePercent = 100 * (1 - health.cacheFreeBytes / health.cacheTotalBytes);
  return [
    judgeLoad(
      'processors',
      health.cpuPercent,
      [80],
      'Move machines to another process server, or add cores.',
    ),
    judgeLoad('memory', memoryPercent, [80], 'Move machines to another process server, or add memory.'),
    judgeLoad(
      'cache disk',
      cachePercent,
      [70, 75],
      'Make room on the cache disk, or put it on a larger one.',
    ),
    judgeExpiry(Math.floor((certificateExpiresAtMs - nowMs) / dayMs)),
  ];
}

function judgeLoad(
  subject: string,
  percent: number,
  [much = 0, most = Infinity]: number[],
  action: string,
): Finding {
  const found = `${Math.round(percent)} % in use`;
  if (percent <= much) return passed(subject, found);
  return { subject, outcome: percent > most ? 'Failed' : 'Warning', found, action };
}

function judgeExpiry(days: number): Finding {
  if (days > 60) return passed('certificate authority', `good for ${days} days`);
  return {
    subject: 'certificate authority',
    outcome: days > 7 ? 'Warning' : 'Failed',
    found: days < 0 ? 'expired' : `good for ${days} days`,
    action: 'Set the appliance up anew before it ends: all agents must enrol again then.',
  };
}

function judgeAgent(agent: ApplianceStatus['agents'][number], nowMs: number): Finding[] {
  const silentMs = nowMs - agent.lastHeartbeatMs;
  if (silentMs <= agentSilentMs) return [];
  return [
    {
      subject: `agent ${agent.hostName}`,
      outcome: 'Warning',
      found: `not heard of for ${Math.round(silentMs / minuteMs)} minutes`,
      action:
        'Check that the machine is on, that the agent runs on it and that it reaches the appliance’s port.',
    },
  ];
}

function judgeReplication({
  protectedItemId,
  phase,
  fault,
}: NonNullable<ApplianceStatus['replication']>[number]): Finding {
  const subject = `replication ${protectedItemId}`;
  if (fault === undefined) return passed(subject, phase);
  const action = fault.recommendedAction ?? 'Look at the log: `secondsite appliance logs`.';
  return { subject, outcome: 'Failed', found: `${phase}: ${fault.message}`, action };
}

function judgeWaiting({ cloud, outboxWaiting, pendingCommands }: ApplianceStatus): Finding[] {
  const found = `${outboxWaiting} check-ins wait, ${pendingCommands.length} commands are under way`;
  const action = 'Nothing is lost: they go out when Service Bus is reached. Check the network to it.';
  if (cloud?.checkIns !== undefined) {
    const { sinceMs, message } = cloud.checkIns;
    const why = `not taken since ${new Date(sinceMs).toISOString()}: ${message} ${found}`;
    return [{ subject: 'check-ins', outcome: 'Failed', found: why, action }];
  }
  if (outboxWaiting < outboxMany) return [passed('check-ins', found)];
  return [{ subject: 'check-ins', outcome: 'Warning', found, action }];
}
