import { GiB } from '../shared/bytes.ts';
import type { ApplianceStatus } from '../shared/wire/appliance-control.ts';

/** Rows as aligned text. */
export function inColumns(rows: string[][]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The appliance's status for a person. */
export function describeStatus(status: ApplianceStatus): string {
  return [
    ...inColumns([
      ['Appliance', `${status.applianceId ?? 'not registered'} (${status.state})`],
      ['Version', status.version],
      ['Vault', status.vaultName === undefined ? 'none' : `${status.vaultName} at ${status.endpoint ?? ''}`],
      ['Vault reached', describeCloud(status)],
      ...describeProcessServer(status),
      ['Agents', String(status.agents.length)],
      ['Accounts', String(status.accounts.length)],
      ['vCenters', `${status.vCenters.length}, failing ${status.vCenters.filter((one) => one.fault).length}`],
      ['Check-ins waiting', String(status.outboxWaiting)],
      ['Commands under way', String(status.pendingCommands.length)],
    ]).split('\n'),
    ...status.pendingCommands.map(({ kind, receivedAtMs }) => `  ${kind} since ${isoTime(receivedAtMs)}`),
    ...status.vCenters.flatMap(({ vCenterName, fault }) =>
      fault === undefined ? [] : [`  ${vCenterName}: ${fault.message}`],
    ),
  ].join('\n');
}

function describeCloud({ cloud }: ApplianceStatus): string {
  if (cloud === undefined) return 'not while stopped';
  const since = `since ${isoTime(cloud.sinceMs)}`;
  const heartbeat =
    cloud.lastHeartbeatMs === undefined ? '' : `, last heartbeat taken ${isoTime(cloud.lastHeartbeatMs)}`;
  if (cloud.fault === undefined) return `${cloud.state} ${since}${heartbeat}`;
  const action = cloud.fault.recommendedAction === undefined ? '' : ` ${cloud.fault.recommendedAction}`;
  return `no, ${since}: ${cloud.fault.message}${action}`;
}

function describeProcessServer({ processServer }: ApplianceStatus): string[][] {
  if (processServer === undefined) return [];
  const { health } = processServer;
  const cache = `${inGiB(health.cacheFreeBytes)} of ${inGiB(health.cacheTotalBytes)} GiB free`;
  return [
    ['Agents come in at', `${processServer.host}:${processServer.port}`],
    ['Certificate', `${processServer.caFingerprint}, until ${isoTime(processServer.certificateExpiresAtMs)}`],
    ['Cache', `${cache}, ${inGiB(health.pendingUploadBytes)} GiB to be uploaded`],
    ['Load', `processors ${health.cpuPercent} %, load ${health.systemLoad.toFixed(2)}`],
  ];
}

function inGiB(bytes: number): string {
  return (bytes / GiB).toFixed(1);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
