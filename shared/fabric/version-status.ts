/** Site Recovery's words for how an appliance's version stands to the vault's. */
export type VersionStatus = 'Supported' | 'NotSupported';

/** An appliance may lag this many minor versions behind, as in the real service. */
const minorsBehind = 4;

/**
 * Whether the vault still works with an appliance of this version. A newer one is fine; one of another major version,
 * or too far behind, is not.
 * Rule: https://learn.microsoft.com/azure/site-recovery/service-updates-how-to
 */
export function versionStatusOf(applianceVersion: string, vaultVersion: string): VersionStatus {
  const [major = 0, minor = 0] = partsOf(applianceVersion);
  const [wantedMajor = 0, wantedMinor = 0] = partsOf(vaultVersion);
  const fits = major > wantedMajor || (major === wantedMajor && minor >= wantedMinor - minorsBehind);
  return fits ? 'Supported' : 'NotSupported';
}

function partsOf(version: string): number[] {
  return version.split('.').map((part) => Number.parseInt(part, 10) || 0);
}
