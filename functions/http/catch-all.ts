import { type HttpMethod, type HttpRequest, type HttpResponseInit, app } from '@azure/functions';
import { answerOfFault } from '../edge/http-fault.ts';
import { routesByMethod } from '../edge/http-edge.ts';

/**
 * What no other function takes. The host tries functions in the order of their names, whatever their routes, so this
 * name must come last. The host itself would answer with an empty 404 even where only the method is wrong.
 */
app.http('zzNotFound', {
  methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'],
  route: '{*path}',
  authLevel: 'anonymous',
  handler: (request) => answerUnknown(request),
});

function answerUnknown(request: HttpRequest): HttpResponseInit {
  const allowed = methodsOf(new URL(request.url).pathname);
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

function methodsOf(path: string): HttpMethod[] {
  const found = path
    .replace(/^\/|\/$/gu, '')
    .toLowerCase()
    .split('/');
  const fitting = routesByMethod().filter(({ route }) => {
    const words = route.toLowerCase().split('/');
    return (
      words.length === found.length && words.every((word, at) => word.startsWith('{') || word === found[at])
    );
  });
  return [...new Set(fitting.map(({ method }) => method))].sort();
}
