import { DomainError } from '../fault.ts';

/**
 * Checks the name of a vault that is to be made.
 * Rule: https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftrecoveryservices
 * @throws InvalidRequest
 */
export function checkVaultName(name: string): void {
  if (/^[A-Za-z][A-Za-z0-9-]{1,49}$/u.test(name)) return;
  throw new DomainError({
    code: 'InvalidRequest',
    armCode: 'InvalidResourceName',
    message: `'${name.slice(0, 100)}' can not be the name of a vault.`,
    target: 'vaultName',
    recommendedAction: 'Use 2 to 50 letters, digits and hyphens; begin with a letter.',
  });
}

/**
 * Checks the name of a resource group that a vault is to be made in.
 * Rule: the same page, Microsoft.Resources.
 * @throws InvalidRequest
 */
export function checkResourceGroupName(name: string): void {
  if (/^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$/u.test(name)) return;
  throw new DomainError({
    code: 'InvalidRequest',
    armCode: 'InvalidResourceGroup',
    message: `'${name.slice(0, 100)}' can not be the name of a resource group.`,
    target: 'resourceGroupName',
    recommendedAction:
      'Use 1 to 90 letters, digits, underscores, hyphens, periods and parentheses; do not end with a period.',
  });
}
