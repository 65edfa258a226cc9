import { actionOf } from '../../shared/access/action.ts';
import { httpOperation, routesByMethod } from '../edge/http-edge.ts';

/** What can be allowed or refused here, by ARM action. */
httpOperation(
  'listOperations',
  { method: 'GET', route: 'providers/Microsoft.RecoveryServices/operations' },
  answerOperations,
);
/** The same, as the Site Recovery client asks for it. */
httpOperation(
  'listOperationsInResourceGroup',
  {
    method: 'GET',
    route:
      'subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/providers/Microsoft.RecoveryServices/operations',
  },
  answerOperations,
);

function answerOperations() {
  const actions = new Set(routesByMethod().map(({ method, route }) => actionOf(method, route)));
  return { status: 200, body: { value: [...actions].sort().map(operationAnswer), nextLink: null } };
}

function operationAnswer(action: string) {
  const [provider = '', ...words] = action.split('/');
  const verb = words.at(-1) ?? '';
  const resource = words.slice(0, -1).join('/');
  return {
    name: action,
    isDataAction: false,
    origin: 'user',
    display: { provider, resource, operation: verb, description: `${verb} on ${resource}` },
  };
}
