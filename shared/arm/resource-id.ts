import { DomainError } from '../fault.ts';

/** Namespace of every resource here, spelled as the real service spells it. */
export const providerNamespace = 'Microsoft.RecoveryServices';

/** Which vault: the three names of its ARM id. */
export type VaultRef = { subscriptionId: string; resourceGroup: string; vaultName: string };

/** What lies below a vault: pairs of a resource type and a name, outermost first. */
export type ChildPath = readonly (readonly [type: string, name: string])[];

/** ARM id of a vault. */
export function vaultIdOf(vault: VaultRef): string {
  return `/subscriptions/${vault.subscriptionId}/resourceGroups/${vault.resourceGroup}/providers/${providerNamespace}/vaults/${vault.vaultName}`;
}

/** ARM id of what lies below a vault; with the capital S of `/Subscriptions/` that the real service sends there. */
export function childIdOf(vault: VaultRef, path: ChildPath): string {
  const below = path.map(([type, name]) => `/${type}/${name}`).join('');
  return `/S${vaultIdOf(vault).slice(2)}${below}`;
}

/** ARM type of what lies below a vault: `Microsoft.RecoveryServices/vaults/replicationFabrics/…`. */
export function childTypeOf(path: ChildPath): string {
  return [`${providerNamespace}/vaults`, ...path.map(([type]) => type)].join('/');
}

const vaultIdPattern =
  /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/Microsoft\.RecoveryServices\/vaults\/([^/]+)((?:\/[^/]+\/[^/]+)*)\/?$/iu;

/**
 * Takes an ARM id of a vault, or of something below one, apart. Any casing of the fixed words is accepted.
 * @throws InvalidRequest when it is not such an id; `target` names the field that held it.
 */
export function parseVaultResourceId(id: string, target: string): { vault: VaultRef; path: ChildPath } {
  const match = vaultIdPattern.exec(id);
  const [, subscriptionId, resourceGroup, vaultName, below] = match ?? [];
  if (subscriptionId === undefined || resourceGroup === undefined || vaultName === undefined) {
    throw invalidId(id, target);
  }
  const words = (below ?? '').split('/').slice(1);
  const path = Array.from(
    { length: words.length / 2 },
    (_, at) => [words[2 * at] ?? '', words[2 * at + 1] ?? ''] as const,
  );
  return { vault: { subscriptionId, resourceGroup, vaultName }, path };
}

/**
 * The names in an id that must be of the given types, e.g. `['replicationPolicies']`, in the given vault.
 * @throws InvalidRequest when it is an id of something else or in another vault.
 */
export function namesInId(
  id: string,
  expected: { vault: VaultRef; types: readonly string[]; target: string },
): string[] {
  const { vault, path } = parseVaultResourceId(id, expected.target);
  const types = path.map(([type]) => type);
  if (!sameName(types.join('/'), expected.types.join('/'))) throw invalidId(id, expected.target);
  if (!sameName(vaultIdOf(vault), vaultIdOf(expected.vault))) {
    throw new DomainError({
      code: 'InvalidRequest',
      message: `'${shorten(id)}' lies in another vault than the one of this request.`,
      target: expected.target,
      recommendedAction: 'Name a resource of the same vault.',
    });
  }
  return path.map(([, name]) => name);
}

/** Whether two ARM names or ids mean the same: ARM compares without regard to case. */
export function sameName(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}

function invalidId(id: string, target: string): DomainError {
  return new DomainError({
    code: 'InvalidRequest',
    message: `'${shorten(id)}' is not the ARM id of the resource wanted in '${target}'.`,
    target,
    recommendedAction:
      'Send the whole id, beginning with /subscriptions/, as a GET of the resource shows it.',
  });
}

function shorten(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
