/**
 * What each role should be allowed, told apart from the app's own tables: the action lists that Azure publishes, and
 * what is added to them, each with its reason.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

type RoleName = 'Site Recovery Contributor' | 'Site Recovery Operator' | 'Site Recovery Reader';

const published = JSON.parse(readFileSync(resolve(import.meta.dirname, 'built-in-roles.json'), 'utf8')) as {
  roles: Record<RoleName, string[]>;
};

const vaults = 'Microsoft.RecoveryServices/Vaults';
const item = `${vaults}/replicationFabrics/replicationProtectionContainers/replicationProtectedItems`;
const everybody: RoleName[] = ['Site Recovery Contributor', 'Site Recovery Operator', 'Site Recovery Reader'];
const contributor: RoleName[] = ['Site Recovery Contributor'];

const additions: readonly { roles: RoleName[]; action: string; reason: string }[] = [
  { roles: contributor, action: `${vaults}/write`, reason: "Azure's own Contributor makes vaults there" },
  { roles: contributor, action: `${vaults}/delete`, reason: "Azure's own Contributor deletes vaults there" },
  {
    roles: contributor,
    action: 'Microsoft.RecoveryServices/locations/checkNameAvailability/action',
    reason: 'asked before a vault is made',
  },
  ...['replicationVaultSettings', 'replicationVaultHealth'].flatMap((type) => [
    { roles: contributor, action: `${vaults}/${type}/*`, reason: 'newer than the published lists' },
    { roles: everybody, action: `${vaults}/${type}/read`, reason: 'newer than the published lists' },
  ]),
  ...[
    'Microsoft.RecoveryServices/operations/read',
    'Microsoft.RecoveryServices/locations/capabilities/action',
    'Microsoft.RecoveryServices/replicationEligibilityResults/read',
    `${vaults}/replicationUsages/read`,
    `${vaults}/replicationAppliances/read`,
    `${vaults}/replicationSupportedOperatingSystems/read`,
    `${item}/targetComputeSizes/read`,
  ].map((action) => ({ roles: everybody, action, reason: 'newer than the published lists' })),
  { roles: contributor, action: `${vaults}/secondsite/*`, reason: "Secondsite's own" },
  { roles: everybody, action: `${vaults}/secondsite/*/read`, reason: "Secondsite's own" },
];

/** Whether a role should be allowed an action. */
export function shouldAllow(role: RoleName, action: string): boolean {
  const added = additions.filter(({ roles }) => roles.includes(role)).map(({ action }) => action);
  return [...published.roles[role], ...added].some((pattern) => fits(pattern, action));
}

/** A pattern's pieces between its stars must come one after the other. */
function fits(pattern: string, action: string): boolean {
  const [first = '', ...rest] = pattern.toLowerCase().split('*');
  let left = action.toLowerCase();
  if (!left.startsWith(first)) return false;
  left = left.slice(first.length);
  const last = rest.pop();
  if (last === undefined) return left === '';
  for (const piece of rest) {
    const at = left.indexOf(piece);
    if (at === -1) return false;
    left = left.slice(at + piece.length);
  }
  return left.endsWith(last);
}
