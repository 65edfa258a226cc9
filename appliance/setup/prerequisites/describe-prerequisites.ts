import type { PrerequisiteCheck, PrerequisiteReport } from '../../../shared/wire/prerequisite.ts';

const titles: Record<PrerequisiteCheck['name'], string> = {
  operatingSystem: 'Operating system',
  processors: 'Processors',
  memory: 'Memory',
  disks: 'Disks',
  cacheSpace: 'Room for the cache',
  retentionSpace: 'Room for retention',
  locale: 'Locale',
  serverRoles: 'Other server roles',
  networkAdapter: 'Network adapter',
  staticAddress: 'Static address',
  dataPort: 'Port for data',
  httpsPort: 'Port 443',
  vaultReachable: 'Vault reached',
  clockOfService: 'Clock, by the vault',
  clockOfTimeServer: 'Clock, by a time server',
};

const marks: Record<PrerequisiteCheck['outcome'], string> = {
  Passed: 'pass',
  Warning: 'WARN',
  Failed: 'FAIL',
};

/** The checks as a person reads them: what was found, and where that is not what is wanted, what to do. */
export function describePrerequisites(report: PrerequisiteReport): string {
  const width = Math.max(...report.checks.map(({ name }) => titles[name].length));
  const indent = ' '.repeat(width + 10);
  return report.checks
    .flatMap(({ name, outcome, found, wanted, action }) => [
      `  ${marks[outcome]}  ${titles[name].padEnd(width)}  ${found}`,
      ...(outcome === 'Passed' ? [] : [`${indent}wanted: ${wanted}`, `${indent}${action}`]),
    ])
    .join('\n');
}
