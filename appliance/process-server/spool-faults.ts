import { DomainError } from '../../shared/fault.ts';

/** The agent is told of it when it goes on with the cycle, and sends it again. */
export function lostSince(): DomainError {
  return new DomainError({
    code: 'Conflict',
    message: 'The cache disk of the process server lost a part of what was sent.',
    recommendedAction: 'The agent sends it again by itself. Check the health of the cache disk.',
  });
}

/** @returns Unavailable: nothing more is taken. */
export function stopping(): DomainError {
  return new DomainError({ code: 'Unavailable', message: 'The process server is stopping.' });
}

/** @returns Unavailable: a write failed, with its cause. */
export function spoolFailed(cause: unknown): DomainError {
  const code = (cause as NodeJS.ErrnoException).code;
  return new DomainError(
    {
      code: 'Unavailable',
      message: `The process server can not write its spool${code === undefined ? '' : ` (${code})`}.`,
      recommendedAction: 'Check the cache disk of the process server: its free space and its health.',
    },
    { cause },
  );
}
