/** The operations of the official clients, found by walking their operation groups and catching what they would send. */
import { RecoveryServicesClient } from '@azure/arm-recoveryservices';
import { SiteRecoveryManagementClient } from '@azure/arm-recoveryservices-siterecovery';
import { type AccessToken, type TokenCredential } from '@azure/core-auth';

/** One operation of a client: its group and name there, and the request it makes. */
export type SdkOperation = {
  client: 'siterecovery' | 'recoveryservices';
  group: string;
  name: string;
  method: string;
  /** Without the leading slash; names of parameters in braces. */
  path: string;
};

type Sent = { method: string; path: string };
type Callable = (...parameters: unknown[]) => unknown;

/** Every operation of both clients, in the clients' own order. */
export async function sdkOperations(): Promise<SdkOperation[]> {
  return [...(await recoveryServicesOperations()), ...(await siteRecoveryOperations())];
}

async function siteRecoveryOperations(): Promise<SdkOperation[]> {
  const client = new SiteRecoveryManagementClient(credential, 'subscriptionId');
  let sent: Sent | undefined;
  const catching = {
    sendOperationRequest: (_: unknown, spec: { httpMethod: string; path?: string }) => {
      sent ??= { method: spec.httpMethod, path: (spec.path ?? '').replace(/^\//u, '') };
      return Promise.reject(new Error('caught'));
    },
  };
  Object.assign(client, catching);
  const found: SdkOperation[] = [];
  for (const [group, value] of groupsOf(client)) {
    for (const name of namesOf(value)) {
      sent = undefined;
      await attempt(value, name);
      found.push(operation({ client: 'siterecovery', group, name }, sent));
    }
  }
  return found;
}

async function recoveryServicesOperations(): Promise<SdkOperation[]> {
  let sent: Sent | undefined;
  const client = new RecoveryServicesClient(credential, '{subscriptionId}', {
    additionalPolicies: [
      {
        position: 'perCall',
        policy: {
          name: 'catch',
          sendRequest: (request) => {
            const { pathname } = new URL(request.url);
            sent ??= { method: request.method, path: decodeURIComponent(pathname).replace(/^\//u, '') };
            return Promise.reject(new Error('caught'));
          },
        },
      },
    ],
  });
  const groups: [string, object][] = [...groupsOf(client), ['client', client]];
  const found: SdkOperation[] = [];
  for (const [group, value] of groups) {
    for (const name of namesOf(value)) {
      sent = undefined;
      await attempt(value, name);
      found.push(operation({ client: 'recoveryservices', group, name }, sent));
    }
  }
  return found;
}

/** Nothing is ever sent, so nobody looks at the token. */
const credential: TokenCredential = {
  getToken: (): Promise<AccessToken> => Promise.resolve({ token: 'none', expiresOnTimestamp: 1e15 }),
};

function groupsOf(client: object): [string, object][] {
  return Object.entries(client).filter(
    (entry): entry is [string, object] =>
      typeof entry[1] === 'object' &&
      entry[1] !== null &&
      !['pipeline', '_client', '_httpClient'].includes(entry[0]) &&
      namesOf(entry[1]).length > 0,
  );
}

/** The clients' own plumbing: not operations. */
const plumbing = new Set([
  'constructor',
  'sendRequest',
  'sendOperationRequest',
  'addCustomApiVersionPolicy',
  'pipeline',
]);

/** Public operations; each long-running one has two or three spellings, of which one is taken. */
function namesOf(group: object): string[] {
  const names = new Set([
    ...Object.getOwnPropertyNames(group),
    ...Object.getOwnPropertyNames(Object.getPrototypeOf(group)),
  ]);
  const all = [...names].filter(
    (name) =>
      typeof (group as Record<string, unknown>)[name] === 'function' &&
      !plumbing.has(name) &&
      !(name in Object.prototype) &&
      !/^_|Paging(?:All|Page)$|AndWait$/u.test(name),
  );
  return all.filter((name) => !name.startsWith('begin') || !all.includes(plainName(name)));
}

function plainName(name: string): string {
  const plain = name.replace(/^begin/u, '');
  return `${plain.charAt(0).toLowerCase()}${plain.slice(1)}`;
}

/** What comes last may be the body, which some operations take apart before they send anything. */
async function attempt(group: object, name: string): Promise<void> {
  const call = (group as Record<string, Callable>)[name];
  if (call === undefined) return;
  // `(resourceGroupName, vaultName, options) =>`: each gets its own name in braces.
  const words = /\(([^)]*)\)/u.exec(String(call))?.[1]?.split(',') ?? [];
  const names = words.map((word) => word.trim().split(/[ =]/u)[0] ?? '').filter((word) => word !== 'options');
  const given = names.map((word) => `{${word}}`);
  await attemptWith(group, call, given);
  await attemptWith(group, call, [...given.slice(0, -1), { properties: {} }]);
}

async function attemptWith(group: object, call: Callable, given: unknown[]): Promise<void> {
  try {
    const made = call.apply(group, given);
    await (isIterator(made) ? made.next() : made);
  } catch {
    // What it would have sent has been caught; where it has not, the caller says so.
  }
}

function isIterator(made: unknown): made is AsyncIterator<unknown> {
  return typeof made === 'object' && made !== null && 'next' in made && typeof made.next === 'function';
}

function operation(
  { client, group, name }: Pick<SdkOperation, 'client' | 'group' | 'name'>,
  sent: Sent | undefined,
): SdkOperation {
  if (sent === undefined)
    throw new Error(`The operation ${group}.${name} sent nothing: walk it differently.`);
  return { client, group, name: plainName(name), ...sent };
}
