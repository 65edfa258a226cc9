import { type Fault } from '../../shared/fault.ts';

const statusOf: Record<Fault['code'], number> = {
  InvalidRequest: 400,
  AuthenticationFailed: 401,
  AuthorizationFailed: 403,
  RegistrationKeyExpired: 403,
  RegistrationKeyUsed: 403,
  ClockSkew: 403,
  ResourceNotFound: 404,
  Conflict: 409,
  PreconditionFailed: 412,
  ResourceNotEmpty: 409,
  NotSupported: 400,
  RequestTooLarge: 413,
  TooManyRequests: 429,
  Unavailable: 503,
  ReplicaDamaged: 409,
  RemoteFailure: 502,
};

/** After these the same request is worth another try, that many seconds later. */
const retryAfterSeconds: Partial<Record<Fault['code'], number>> = { Unavailable: 5, TooManyRequests: 1 };

/** ARM's error object of a fault; operation status carries the same. */
export type ArmError = {
  code: string;
  message: string;
  target: string | null;
  details: null;
  innererror: { code: Fault['code']; possibleCauses?: string; recommendedAction?: string };
};

/** A fault in ARM's words. What to do is part of the message, because most clients show nothing else. */
export function armErrorOf(fault: Fault): ArmError {
  const advice = fault.recommendedAction === undefined ? '' : ` ${fault.recommendedAction}`;
  return {
    code: fault.armCode ?? fault.code,
    message: `${fault.message}${advice}`,
    target: fault.target ?? null,
    details: null,
    innererror: {
      code: fault.code,
      ...(fault.possibleCauses !== undefined && { possibleCauses: fault.possibleCauses }),
      ...(fault.recommendedAction !== undefined && { recommendedAction: fault.recommendedAction }),
    },
  };
}

/** A fault as an HTTP answer. */
export function answerOfFault(fault: Fault): {
  status: number;
  headers: Record<string, string>;
  jsonBody: { error: ArmError };
} {
  const retryAfter = retryAfterSeconds[fault.code];
  return {
    status: statusOf[fault.code],
    headers: {
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
      ...(fault.code === 'AuthenticationFailed' && { 'www-authenticate': 'Bearer' }),
    },
    jsonBody: { error: armErrorOf(fault) },
  };
}
