import {
  type HttpMethod,
  type HttpRequest,
  type HttpResponseInit,
  type InvocationContext,
  app,
} from '@azure/functions';
import { actionOf, vaultReadAction } from '../../shared/access/action.ts';
import { contributorRole, isAllowed } from '../../shared/access/roles.ts';
import { DomainError } from '../../shared/fault.ts';
import { answerOfFault } from '../edge/http-fault.ts';
import { httpEdge, routesByMethod } from '../edge/http-edge.ts';
import { isOfRoute } from '../edge/route.ts';
import { type RefusedOperation, refusedOperations } from './refused-operations.ts';

/**
 * What no other function takes. The host tries functions in the order of their names, whatever their routes, so this
 * name must come last. The host itself would answer with an empty 404 even where only the method is wrong.
 */
app.http('zzNotFound', {
  methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'],
  route: '{*path}',
  authLevel: 'anonymous',
  handler: (request, context) => answerUnknown(request, context),
});

/**
 * One function for all of them, so that the host need not know a hundred more. Who may not do it in Site Recovery is
 * told so here too; where no role has such an action, whoever may read the vault is told that it is not possible.
 */
const refusals = refusedOperations.map((operation) => {
  const action = actionOf(operation.method, operation.route);
  const needed = isAllowed([contributorRole], action) ? action : vaultReadAction;
  const refuse = httpEdge({ ...operation, action: needed }, () => {
    throw notSupported(operation);
  });
  return { ...operation, refuse };
});

function answerUnknown(
  request: HttpRequest,
  context: InvocationContext,
): HttpResponseInit | Promise<HttpResponseInit> {
  const path = new URL(request.url).pathname;
  const refused = refusals.find(({ method, route }) => method === request.method && isOfRoute(route, path));
  if (refused !== undefined) return refused.refuse(request, context);
  const allowed = methodsOf(path);
  if (allowed.length === 0) {
    return answerOfFault({
      code: 'ResourceNotFound',
      message: 'There is nothing at this path.',
      recommendedAction: 'Check the spelling of the path.',
    });
  }
  return {
    status: 405,
    headers: { allow: allowed.join(', '), 'cache-control': 'no-cache' },
    jsonBody: {
      error: {
        code: 'MethodNotAllowed',
        message: `The method ${request.method} is not possible here; ${allowed.join(', ')} are.`,
        target: null,
        details: null,
      },
    },
  };
}

function notSupported({ message, instead, route }: RefusedOperation): DomainError {
  return new DomainError({
    code: 'NotSupported',
    message,
    target: route.split('/').findLast((word) => !word.startsWith('{')) ?? '',
    recommendedAction: instead,
  });
}

function methodsOf(path: string): HttpMethod[] {
  const fitting = routesByMethod().filter(({ route }) => isOfRoute(route, path));
  return [...new Set(fitting.map(({ method }) => method))].sort();
}
