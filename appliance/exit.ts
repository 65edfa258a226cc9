import { DomainError, type Fault } from '../shared/fault.ts';

/** Ends the process with status 1 and what went wrong, where, and what to do, on standard error. */
export function exitWithError(error: unknown): never {
  process.stderr.write(`${error instanceof DomainError ? describeFault(error.fault) : String(error)}\n`);
  process.exit(1);
}

/** A fault as a person reads it. */
export function describeFault(fault: Fault): string {
  return [
    fault.message,
    ...(fault.possibleCauses === undefined ? [] : [`Possible cause: ${fault.possibleCauses}`]),
    ...(fault.recommendedAction === undefined ? [] : [fault.recommendedAction]),
  ].join('\n');
}
