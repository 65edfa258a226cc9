/**
 * Routes and what their names hold. Path parameters are read from the URL itself: the host mixes keys of the query
 * and the body into `request.params`.
 */
import { DomainError } from '../../shared/fault.ts';

/** All that concerns one vault hangs below this. */
export const vaultRoute =
  'subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/providers/Microsoft.RecoveryServices/vaults/{vaultName}';
export const fabricRoute = `${vaultRoute}/replicationFabrics/{fabricName}` as const;
export const containerRoute = `${fabricRoute}/replicationProtectionContainers/{containerName}` as const;

/** The names in a route's braces. */
export type PathParameters<Route extends string> = Route extends `${string}{${infer Name}}${infer Rest}`
  ? { [key in Name]: string } & PathParameters<Rest>
  : unknown;

/** Longer than any name ARM allows (260). */
const longestName = 260;

/**
 * Reads the names of a route's braces from a URL.
 * @throws InvalidRequest for a broken percent encoding, a name with control characters, or one that is too long;
 * ResourceNotFound when the URL is not of this route (dot segments the URL parser resolved).
 */
export function pathParameters<Route extends string>(route: Route, url: string | URL): PathParameters<Route> {
  const wanted = route.split('/');
  const found = (typeof url === 'string' ? new URL(url) : url).pathname.replace(/^\/|\/$/gu, '').split('/');
  if (found.length !== wanted.length) throw wrongPath();
  const parameters: Record<string, string> = {};
  for (const [at, word] of wanted.entries()) {
    const text = decode(found[at] ?? '');
    if (word.startsWith('{')) parameters[word.slice(1, -1)] = boundedName(word.slice(1, -1), text);
    else if (word.toLowerCase() !== text.toLowerCase()) throw wrongPath();
  }
  return parameters as PathParameters<Route>;
}

/** Whether a path is of a route, its names aside. */
export function isOfRoute(route: string, path: string): boolean {
  const found = path
    .replace(/^\/|\/$/gu, '')
    .toLowerCase()
    .split('/');
  const wanted = route.toLowerCase().split('/');
  return (
    wanted.length === found.length && wanted.every((word, at) => word.startsWith('{') || word === found[at])
  );
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throw new DomainError(
      {
        code: 'InvalidRequest',
        message: `The path's segment '${segment.slice(0, 100)}' is not valid percent encoding of UTF-8.`,
        recommendedAction: 'Encode names with encodeURIComponent or its like.',
      },
      { cause: error },
    );
  }
}

function boundedName(parameter: string, name: string): string {
  if (name === '' || name.length > longestName) {
    throw invalidName(parameter, `has ${name.length} characters; 1 to ${longestName} are possible`);
  }
  // eslint-disable-next-line no-control-regex -- exactly these are refused
  if (/[\u0000-\u001f\u007f-\u009f]/u.test(name)) throw invalidName(parameter, 'holds control characters');
  return name;
}

function invalidName(parameter: string, what: string): DomainError {
  return new DomainError({
    code: 'InvalidRequest',
    message: `The path's ${parameter} ${what}.`,
    target: parameter,
  });
}

function wrongPath(): DomainError {
  return new DomainError({
    code: 'ResourceNotFound',
    message: 'There is nothing at this path.',
    recommendedAction: 'Check the spelling of the path.',
  });
}
