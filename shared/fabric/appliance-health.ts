/**
 * What is wrong with a configuration server and its process server, from what it last said.
 * Limits: https://learn.microsoft.com/azure/site-recovery/vmware-physical-azure-monitor-process-server
 */
import { version } from '../version.ts';
import { type Appliance } from './appliance.ts';
import { type HealthError, healthError } from './health-error.ts';
import { type KeptHeartbeat } from './heartbeat.ts';
import { lightsOf, silentAfterMs } from './load-status.ts';
import { versionStatusOf } from './version-status.ts';

/** What the judgement rests on. */
export type HealthFacts = { appliance: Appliance; heartbeat: KeptHeartbeat | undefined; nowMs: number };

/** Something that is not well just now. */
export type Condition = {
  code: string;
  level: HealthError['errorLevel'];
  /** Counts as an error only when it has lasted for 15 minutes; a busy minute is none. */
  mustLast: boolean;
  /** Only the process server suffers from it. */
  processServerOnly: boolean;
  message: string;
  causes: string;
  action: string;
};

const dayMs = 86_400_000;
/** Days before a certificate's end from which it is a warning, and an error. */
const expiryWarningDays = 30;
const expiryErrorDays = 7;
const mostNamed = 10;

/** Everything that is not well just now, lasting or not. */
export function conditionsOf(facts: HealthFacts): Condition[] {
  // Of a server that is silent nothing else is known.
  if (isSilent(facts)) return [silence(facts)];
  const { heartbeat } = facts;
  if (heartbeat === undefined) return [];
  return [
    ...loadConditions(heartbeat),
    ...backlogConditions(heartbeat),
    ...certificateConditions(heartbeat, facts.nowMs),
    ...agentConditions(heartbeat),
    ...versionConditions(heartbeat),
  ];
}

/**
 * The conditions as health errors; `sinceMs` says since when each holds, and none that is too young is told.
 * Of `server`: without those that only its process server suffers from.
 */
export function errorsOf(
  facts: HealthFacts,
  sinceMs: Readonly<Record<string, number>>,
  of: 'server' | 'processServer',
): HealthError[] {
  return conditionsOf(facts).flatMap((condition) => {
    if (of === 'server' && condition.processServerOnly) return [];
    const since = sinceMs[condition.code];
    const isYoung = since === undefined || facts.nowMs - since < silentAfterMs;
    if (condition.mustLast && isYoung) return [];
    return healthError({
      errorCode: condition.code,
      errorLevel: condition.level,
      errorMessage: condition.message,
      possibleCauses: condition.causes,
      recommendedAction: condition.action,
      errorCategory: 'FabricInfrastructure',
      entityId: facts.appliance.applianceId,
      atMs: since ?? facts.heartbeat?.receivedAtMs ?? facts.nowMs,
    });
  });
}

/** Whether the appliance has been silent for too long; a new one gets the same time for its first word. */
export function isSilent({ heartbeat, appliance, nowMs }: HealthFacts): boolean {
  return nowMs - (heartbeat?.receivedAtMs ?? appliance.registeredAtMs) > silentAfterMs;
}

function silence({ heartbeat }: HealthFacts): Condition {
  return {
    code: heartbeat === undefined ? 'ApplianceNeverSeen' : 'ApplianceSilent',
    level: 'Error',
    mustLast: false,
    processServerOnly: false,
    message:
      heartbeat === undefined
        ? 'The configuration server has registered and not been in touch since.'
        : 'The configuration server has not been in touch for 15 minutes or longer.',
    causes: 'The configuration server is stopped, its clock is wrong, or it can not reach Service Bus.',
    action: 'Start the configuration server, and check its network and clock.',
  };
}

function loadConditions({ heartbeat }: KeptHeartbeat): Condition[] {
  const lights = lightsOf(heartbeat.processServer);
  const found: Condition[] = [];
  const add = (light: string, code: string, words: Pick<Condition, 'message' | 'causes' | 'action'>) => {
    if (light === 'Green') return;
    const level = light === 'Red' ? 'Error' : 'Warning';
    found.push({ code, level, mustLast: true, processServerOnly: true, ...words });
  };
  add(lights.cpu, 'ProcessServerCpuHigh', {
    message: `The process server's CPU is at ${Math.round(heartbeat.processServer.cpuPercent)} %.`,
    causes: 'It replicates more than it has processors for, or something else runs on it.',
    action: 'Give it more processors, stop what else runs on it, or protect fewer machines.',
  });
  add(lights.memory, 'ProcessServerMemoryHigh', {
    message: "The process server's memory is nearly used up.",
    causes: 'It replicates more than it has memory for, or something else runs on it.',
    action: 'Give it more memory, stop what else runs on it, or protect fewer machines.',
  });
  add(lights.space, 'ProcessServerCacheLow', {
    message: "The process server's cache disk is nearly full. When it is full, agents wait.",
    causes: 'Machines change more than the link to Azure carries, or the link is interrupted.',
    action: 'Check the link and its throughput; give the cache disk more space.',
  });
  return found;
}

/** What waits for upload, in time: longer than half an hour is a warning, than three quarters an error. */
function backlogConditions({ heartbeat }: KeptHeartbeat): Condition[] {
  const { pendingUploadBytes, uploadBytesPerSecond } = heartbeat.processServer;
  if (pendingUploadBytes === 0) return [];
  const minutes = pendingUploadBytes / Math.max(uploadBytesPerSecond, 1) / 60;
  if (minutes <= 30) return [];
  return [
    {
      code: 'ProcessServerBacklog',
      level: minutes > 45 ? 'Error' : 'Warning',
      mustLast: true,
      processServerOnly: true,
      message: `${pendingUploadBytes} bytes wait for upload: more than 30 minutes at the present rate.`,
      causes: 'Machines change more than the link to Azure carries, or the link is interrupted.',
      action: 'Check the link, its throughput and any throttling.',
    },
  ];
}

function certificateConditions({ heartbeat }: KeptHeartbeat, nowMs: number): Condition[] {
  const days = Math.floor((heartbeat.certificateExpiresAtMs - nowMs) / dayMs);
  if (days >= expiryWarningDays) return [];
  return [
    {
      code: days < 0 ? 'ApplianceCertificateExpired' : 'ApplianceCertificateExpiring',
      level: days < expiryErrorDays ? 'Error' : 'Warning',
      mustLast: false,
      processServerOnly: false,
      message:
        days < 0
          ? 'A certificate of the configuration server has expired.'
          : `A certificate of the configuration server expires in ${days} days.`,
      causes: 'It was made when the server was set up or last renewed, and is valid for a limited time.',
      action:
        'Renew it with renewCertificate of the fabric; mobility agents need it to reach the process server.',
    },
  ];
}

function agentConditions({ heartbeat, sentAtMs }: KeptHeartbeat): Condition[] {
  // Both times are by the appliance's clock.
  const silent = heartbeat.agents.filter(({ lastHeartbeatMs }) => sentAtMs - lastHeartbeatMs > silentAfterMs);
  if (silent.length === 0) return [];
  const names = silent.slice(0, mostNamed).map(({ hostName }) => hostName);
  const more = silent.length > mostNamed ? ` and ${silent.length - mostNamed} more` : '';
  return [
    {
      code: 'AgentsSilent',
      level: 'Warning',
      mustLast: false,
      processServerOnly: false,
      message: `These mobility agents have not been in touch for 15 minutes: ${names.join(', ')}${more}.`,
      causes: 'The machine is off, its agent is stopped, or it can not reach the process server.',
      action: 'Start the machine and its agent, and check port 9443 of the process server from there.',
    },
  ];
}

function versionConditions({ heartbeat }: KeptHeartbeat): Condition[] {
  if (versionStatusOf(heartbeat.machine.version, version) === 'Supported') return [];
  return [
    {
      code: 'ApplianceVersionNotSupported',
      level: 'Error',
      mustLast: false,
      processServerOnly: false,
      message: `The configuration server has version ${heartbeat.machine.version}; the vault, of ${version}, works with the four minor versions before its own.`,
      causes: 'The server was not updated for a long time.',
      action: 'Update the configuration server.',
    },
  ];
}
