/** What the function app answers: its routes, and what it refuses by name. */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { refusedOperations } from '../../functions/http/refused-operations.ts';
import { type SdkOperation } from './sdk-operations.ts';

export type Route = { method: string; route: string };

/** Loads the app outside of a host. @azure/functions warns of each function on standard error; nothing else happens. */
export async function implementedRoutes(): Promise<readonly Route[]> {
  const quiet = new Console({
    stdout: process.stdout,
    stderr: new Writable({ write: (_, __, done) => done() }),
  });
  const { console: loud } = globalThis;
  globalThis.console = quiet;
  try {
    await import('../../functions/index.ts');
    const { routesByMethod } = await import('../../functions/edge/http-edge.ts');
    return routesByMethod();
  } finally {
    globalThis.console = loud;
  }
}

/** Two routes are the same when they differ in case and in the names of their parameters only. */
export function sameRoute(left: Route, right: Route): boolean {
  return left.method === right.method && normal(left.route) === normal(right.route);
}

function normal(route: string): string {
  return route.toLowerCase().replaceAll(/\{[^}]*\}/gu, '{}');
}

/** How the app stands to an operation of the official clients. */
export type Standing =
  | { kind: 'implemented' }
  | { kind: 'refused'; message: string; instead: string }
  | { kind: 'neither' }
  | { kind: 'both' };

export function standingOf(operation: SdkOperation, implemented: readonly Route[]): Standing {
  const wanted = { method: operation.method, route: operation.path };
  const isThere = implemented.some((route) => sameRoute(route, wanted));
  const refusal = refusedOperations.find((refused) => sameRoute(refused, wanted));
  if (isThere) return { kind: refusal === undefined ? 'implemented' : 'both' };
  return refusal === undefined ? { kind: 'neither' } : { ...refusal, kind: 'refused' };
}
