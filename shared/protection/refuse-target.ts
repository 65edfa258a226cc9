import { DomainError } from '../fault.ts';
import { type TargetCheck } from '../target/target-check.ts';

/** @throws InvalidRequest naming every check of the target environment that failed, with what to do. */
export function refuseTarget(checks: readonly TargetCheck[]): void {
  const failed = checks.filter(({ outcome }) => outcome === 'Failed');
  if (failed.length === 0) return;
  throw new DomainError({
    code: 'InvalidRequest',
    message: `The target environment does not fit. ${failed
      .map(({ name, found, wanted }) => `${name}: found ${found}, wanted ${wanted}.`)
      .join(' ')}`.slice(0, 4_000),
    target: 'properties.providerSpecificDetails',
    recommendedAction: failed
      .map(({ action }) => action)
      .join(' ')
      .slice(0, 4_000),
  });
}
