import { describe, expect, it } from 'vitest';
import { actionOf } from './action.ts';
import { isAllowed } from './roles.ts';

const vault = 'subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.RecoveryServices/vaults/{v}';
const item = `${vault}/replicationFabrics/{f}/replicationProtectionContainers/{c}/replicationProtectedItems/{i}`;
const containers = 'Microsoft.RecoveryServices/Vaults/replicationFabrics/replicationProtectionContainers';

describe('the ARM action of a request', () => {
  it.each([
    ['GET', 'providers/Microsoft.RecoveryServices/operations', 'Microsoft.RecoveryServices/operations/read'],
    ['GET', vault, 'Microsoft.RecoveryServices/Vaults/read'],
    ['PUT', vault, 'Microsoft.RecoveryServices/Vaults/write'],
    ['DELETE', vault, 'Microsoft.RecoveryServices/Vaults/delete'],
    ['PUT', item, `${containers}/replicationProtectedItems/write`],
    ['POST', `${item}/remove`, `${containers}/replicationProtectedItems/remove/action`],
    ['POST', `${item}/testFailover`, `${containers}/replicationProtectedItems/testFailover/action`],
    ['GET', `${item}/operationresults/{jobId}`, `${containers}/replicationProtectedItems/read`],
    [
      'GET',
      `${vault}/replicationJobs/export/operationresults/{jobId}`,
      'Microsoft.RecoveryServices/Vaults/replicationJobs/read',
    ],
    ['GET', `${vault}/replicationProtectedItems`, `${containers}/replicationProtectedItems/read`],
    [
      'GET',
      `${vault}/replicationOperationStatus/{id}`,
      'Microsoft.RecoveryServices/Vaults/replicationJobs/read',
    ],
    [
      'POST',
      `${vault}/secondsite/registrationKeys`,
      'Microsoft.RecoveryServices/Vaults/secondsite/registrationKeys/write',
    ],
  ])('%s %s', (method, route, action) => {
    expect(actionOf(method, route)).toBe(action);
  });
});

describe('the built-in roles', () => {
  it.each([
    ['Site Recovery Contributor', 'PUT', item, true],
    ['Site Recovery Contributor', 'POST', `${item}/remove`, true],
    ['Site Recovery Contributor', 'PUT', vault, true],
    ['Site Recovery Contributor', 'POST', `${vault}/secondsite/registrationKeys`, true],
    ['Site Recovery Operator', 'POST', `${item}/testFailover`, true],
    ['Site Recovery Operator', 'PUT', item, false],
    ['Site Recovery Operator', 'POST', `${item}/remove`, false],
    ['Site Recovery Operator', 'DELETE', vault, false],
    ['Site Recovery Operator', 'POST', `${vault}/replicationJobs/{j}/cancel`, true],
    ['Site Recovery Operator', 'POST', `${vault}/secondsite/registrationKeys`, false],
    ['Site Recovery Reader', 'GET', item, true],
    ['Site Recovery Reader', 'GET', `${vault}/replicationProtectedItems`, true],
    ['Site Recovery Reader', 'GET', `${vault}/secondsite/targetEnvironment`, true],
    ['Site Recovery Reader', 'POST', `${item}/testFailover`, false],
    ['Site Recovery Reader', 'POST', `${vault}/replicationJobs/{j}/cancel`, false],
    ['Owner', 'GET', vault, false],
    ['__proto__', 'GET', vault, false],
  ])('%s: %s %s: %s', (role, method, route, allowed) => {
    expect(isAllowed([role], actionOf(method, route))).toBe(allowed);
  });

  it('add up', () => {
    const roles = ['Site Recovery Reader', 'Site Recovery Operator'];
    expect(isAllowed(roles, actionOf('POST', `${item}/testFailover`))).toBe(true);
    expect(isAllowed([], actionOf('GET', vault))).toBe(false);
  });
});
