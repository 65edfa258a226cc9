/** docs/api.md: every operation of the official clients, and our own, from the same tables that the app answers by. */
import { actionOf } from '../../shared/access/action.ts';
import { isAllowed } from '../../shared/access/roles.ts';
import { type Route, implementedRoutes, sameRoute, standingOf } from './app-routes.ts';
import { type SdkOperation, sdkOperations } from './sdk-operations.ts';

const vaultPath =
  /^subscriptions\/\{[^}]*\}\/resourceGroups\/\{[^}]*\}\/providers\/Microsoft\.RecoveryServices\/vaults\/\{[^}]*\}/iu;

/** The whole text of docs/api.md. */
export async function apiDocument(): Promise<string> {
  const [operations, implemented] = await Promise.all([sdkOperations(), implementedRoutes()]);
  const ownRoutes = implemented.filter(
    (route) =>
      !operations.some((operation) => sameRoute(route, { method: operation.method, route: operation.path })),
  );
  const lines = operations.map((operation) => operationLine(operation, implemented));
  const refused = lines.filter((line) => line.includes('| no:')).length;
  return [
    '# The API',
    '',
    '<!-- Made by `npm run docs:api`; a test fails when it is out of date. -->',
    '',
    `Secondsite speaks the ARM API of Site Recovery: the ${operations.length} operations of \`@azure/arm-recoveryservices\` and \`@azure/arm-recoveryservices-siterecovery\`, of which ${operations.length - refused} are answered and ${refused} refused with \`NotSupported\` and what to do instead.`,
    '`{V}` is `/subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/providers/Microsoft.RecoveryServices/vaults/{vaultName}`.',
    'The roles are Site Recovery Contributor (C), Operator (O) and Reader (R).',
    '',
    '## Operations of the official clients',
    '',
    '| operation | request | roles | answered |',
    '| --- | --- | --- | --- |',
    ...lines,
    '',
    '## Bodies that the real service does not have',
    '',
    'Site Recovery adds disks to machines in Azure only. Here `addDisks` and `removeDisks` are for VMware machines, with these `properties.providerSpecificDetails` (schemas `AddDisks` and `RemoveDisks` of [openapi.json](openapi.json)):',
    '',
    '| operation | own form | form that the official clients can send |',
    '| --- | --- | --- |',
    `| addDisks | ${own('disksToInclude')} | \`{"instanceType": "A2A", "vmManagedDisks": [{"diskId": "…", "primaryStagingAzureStorageAccountId": "", "recoveryResourceGroupId": ""}]}\` |`,
    `| removeDisks | ${own('disksToRemove')} | \`{"instanceType": "A2A", "vmManagedDisksIds": ["…"]}\` |`,
    '',
    'The official clients know no VMware form of the two: of the first they send the `instanceType` and nothing else, which is refused. Disks are named as the protectable item and `protectedDisks` name them. Both are jobs, and naming what is so already is answered with 200.',
    '',
    "## Secondsite's own",
    '',
    'Requests and answers of those below `secondsite/` are in [openapi.json](openapi.json). The others are where long-running operations are asked about.',
    '',
    '| request | roles |',
    '| --- | --- |',
    ...ownRoutes.map((route) => `| ${requestOf(route)} | ${rolesOf(route)} |`).sort(),
    '',
  ].join('\n');
}

function own(list: string): string {
  return `\`{"instanceType": "InMageAzureV2", "${list}": [{"diskId": "…"}]}\``;
}

function operationLine(operation: SdkOperation, implemented: readonly Route[]): string {
  const standing = standingOf(operation, implemented);
  const route = { method: operation.method, route: operation.path };
  const answered =
    standing.kind === 'refused'
      ? `no: ${standing.message} ${standing.instead}`
      : { implemented: 'yes', both: 'BOTH', neither: 'NEITHER' }[standing.kind];
  return `| ${operation.group}.${operation.name} | ${requestOf(route)} | ${rolesOf(route)} | ${answered} |`;
}

function requestOf({ method, route }: Route): string {
  return `\`${method} ${vaultPath.test(route) ? route.replace(vaultPath, '{V}') : `/${route}`}\``;
}

/** The two that an appliance calls carry a credential of their own. */
function rolesOf({ method, route }: Route): string {
  if (/secondsite\/(?:registrations|appliances\/\{\w+\}\/tokens)$/u.test(route)) return 'appliance';
  const action = actionOf(method, route);
  const roles = ['Contributor', 'Operator', 'Reader'].filter((role) =>
    isAllowed([`Site Recovery ${role}`], action),
  );
  return roles.length === 0 ? '-' : roles.map((role) => role.charAt(0)).join(' ');
}
