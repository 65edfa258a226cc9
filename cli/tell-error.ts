import { DomainError } from '../shared/fault.ts';

/** Tells what went wrong, where, and what to do, on standard error; a mistake in this program with its stack. */
export function tellError(error: unknown): void {
  process.exitCode = 1;
  // What the API refused, as the SDK clients tell it.
  if (error instanceof Error && error.name === 'RestError') {
    process.stderr.write(`${error.message}\n`);
    return;
  }
  if (!(error instanceof DomainError)) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return;
  }
  const { message, possibleCauses, recommendedAction } = error.fault;
  const lines = [message, possibleCauses, recommendedAction].filter((line) => line !== undefined);
  process.stderr.write(`${lines.join('\n')}\n`);
}
