import { RestError } from '@azure/data-tables';
import { DomainError } from '../fault.ts';

/**
 * Says in our words why Storage refused or could not be reached. What is neither is a bug and comes back unchanged.
 * `subject` names the row or blob.
 */
export function storageFault(error: unknown, subject: string): unknown {
  if (!(error instanceof Error) || !('statusCode' in error || 'code' in error)) return error;
  const { statusCode, code } = error as Partial<RestError>;
  if (code === 'EntityAlreadyExists' || (statusCode === 409 && code !== 'TableBeingDeleted')) {
    return new DomainError({ code: 'Conflict', message: `${subject} exists already.` }, { cause: error });
  }
  if (statusCode === 412) {
    return new DomainError(
      {
        code: 'PreconditionFailed',
        message: `${subject} was changed by somebody else in the meantime.`,
        recommendedAction: 'Read it again and repeat the change.',
      },
      { cause: error },
    );
  }
  if (statusCode === undefined ? isConnectionFailure(error) : statusCode === 429 || statusCode >= 500) {
    return new DomainError(
      {
        code: 'Unavailable',
        message: 'Storage can not be reached just now.',
        recommendedAction: 'Repeat the request in a few seconds.',
      },
      { cause: error },
    );
  }
  return error;
}

export function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'statusCode' in error && error.statusCode === 404;
}

const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'REQUEST_SEND_ERROR',
]);

function isConnectionFailure(error: Error): boolean {
  return 'code' in error && connectionCodes.has(String(error.code));
}
