import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { apiDocument } from './api-table.ts';
import { refusedOperations } from '../../functions/http/refused-operations.ts';
import { type Route, implementedRoutes, sameRoute, standingOf } from './app-routes.ts';
import { openApiDocument, ownOperations } from './open-api.ts';
import { type SdkOperation, sdkOperations } from './sdk-operations.ts';

const docs = resolve(import.meta.dirname, '../../docs');

function namesOf(routes: readonly Route[]): string[] {
  return routes.map(({ method, route }) => `${method} ${route}`).sort();
}

describe('the operations of the official clients', () => {
  let operations: SdkOperation[];
  let implemented: readonly Route[];

  beforeAll(async () => {
    operations = await sdkOperations();
    implemented = await implementedRoutes();
  });

  it('are all found', () => {
    const byClient = Map.groupBy(operations, ({ client }) => client);
    expect([...byClient].map(([client, of]) => [client, of.length])).toEqual([
      ['recoveryservices', 24],
      ['siterecovery', 137],
    ]);
  });

  it('are each either implemented or refused by name', () => {
    const wrong = operations
      .map((operation) => ({ operation, kind: standingOf(operation, implemented).kind }))
      .filter(({ kind }) => kind === 'neither' || kind === 'both')
      .map(({ operation, kind }) => `${kind}: ${operation.group}.${operation.name} ${operation.path}`);
    expect(wrong).toEqual([]);
  });

  it('are what is refused: no refusal is of something that nobody asks for', () => {
    const idle = refusedOperations.filter(
      (refused) =>
        !operations.some((operation) =>
          sameRoute(refused, { method: operation.method, route: operation.path }),
        ),
    );
    expect(idle).toEqual([]);
  });

  it('stand in docs/openapi.json where they are our own, all of them and as they are', () => {
    const own = implemented.filter(
      ({ route }) => route.includes('/secondsite/') && !route.includes('operationresults'),
    );
    expect(namesOf(ownOperations)).toEqual(namesOf(own));
    expect(readFileSync(resolve(docs, 'openapi.json'), 'utf8')).toBe(openApiDocument());
  });

  it('stand in docs/api.md as they are (npm run docs:api writes it)', async () => {
    expect(readFileSync(resolve(docs, 'api.md'), 'utf8')).toBe(await apiDocument());
  });
});
