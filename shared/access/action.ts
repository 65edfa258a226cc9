/**
 * Which ARM action a request asks for. ARM names them after the resource's type: `{type}/read`, `{type}/write`,
 * `{type}/delete`, and for a POST the last word of the path: `{type}/{word}/action`.
 */
const vaultType = 'Microsoft.RecoveryServices/Vaults';
/** The action of whoever reads a vault. */
export const vaultReadAction = `${vaultType}/read`;
const containers = 'replicationFabrics/replicationProtectionContainers';

/** Lists over a whole vault need the same action as the lists below one parent. */
const vaultWideLists: Readonly<Record<string, string>> = {
  replicationprotecteditems: `${containers}/replicationProtectedItems`,
  replicationprotectioncontainers: containers,
  replicationprotectioncontainermappings: `${containers}/replicationProtectionContainerMappings`,
  replicationrecoveryservicesproviders: 'replicationFabrics/replicationRecoveryServicesProviders',
  replicationvcenters: 'replicationFabrics/replicationvCenters',
  replicationnetworks: 'replicationFabrics/replicationNetworks',
  replicationnetworkmappings: 'replicationFabrics/replicationNetworks/replicationNetworkMappings',
  replicationstorageclassifications: 'replicationFabrics/replicationStorageClassifications',
  replicationstorageclassificationmappings:
    'replicationFabrics/replicationStorageClassifications/replicationStorageClassificationMappings',
  replicationmigrationitems: `${containers}/replicationMigrationItems`,
  replicationoperationstatus: 'replicationJobs',
  operationstatus: 'replicationJobs',
};

/** Names of resources of which there is exactly one: no part of a type. */
const fixedNames = new Set(['vaultextendedinfo', 'default']);

/** The one action whose results hang below its own word: who may read its type may read them. */
const actionWithResults = 'export';

const writing = new Set(['PUT', 'PATCH']);

/** The action of a request, from its method and its route's template (`{…}` stands for a name). */
export function actionOf(method: string, route: string): string {
  const words = route.split('/').filter((word) => word !== '' && !fixedNames.has(word.toLowerCase()));
  const at = words.findIndex((word) => word.toLowerCase() === 'vaults');
  if (at === -1) return actionOutsideVaults(method, words);
  const below = words.slice(at + 2);
  const last = below.at(-1);
  const isAction = method === 'POST' && last !== undefined && !last.startsWith('{');
  const types = below.filter((word) => !word.startsWith('{'));
  if (below[0]?.toLowerCase() === 'secondsite') {
    return [vaultType, ...types, method === 'GET' ? 'read' : 'write'].join('/');
  }
  if (isAction) return [vaultType, ...types, 'action'].join('/');
  const result = types.findIndex((word) => word.toLowerCase() === 'operationresults');
  const kept = result === -1 ? types : types.slice(0, result).filter((word) => word !== actionWithResults);
  return [vaultType, ...widen(kept), verbOf(method)].join('/');
}

/** What hangs directly below the provider: locations, operations, and the like. */
function actionOutsideVaults(method: string, words: string[]): string {
  const provider = words.findLastIndex((word) => word.toLowerCase() === 'microsoft.recoveryservices');
  const types = words.slice(provider + 1).filter((word) => !word.startsWith('{'));
  return ['Microsoft.RecoveryServices', ...types, method === 'POST' ? 'action' : verbOf(method)].join('/');
}

function widen(types: string[]): string[] {
  const [only] = types;
  const wide = only !== undefined && types.length === 1 ? vaultWideLists[only.toLowerCase()] : undefined;
  return wide === undefined ? types : [wide];
}

function verbOf(method: string): string {
  if (method === 'DELETE') return 'delete';
  return writing.has(method) ? 'write' : 'read';
}
