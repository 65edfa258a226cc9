import { z } from 'zod';

/**
 * Everything that can go wrong by somebody's doing or by the world's, told so that a person can act on it.
 * A new code is added only when some program reacts differently to it. The edges translate: HTTP to a status,
 * messages to a settlement, activities to a refusal; nothing else does.
 */
export const Fault = z.object({
  code: z.enum([
    /** The request's words are wrong: what, where and what to do stands in the message. */
    'InvalidRequest',
    /** The bearer token, assertion or key is missing, forged, expired or not for us. */
    'AuthenticationFailed',
    /** The caller is known and may not do this. */
    'AuthorizationFailed',
    /** The registration key is past its five days. */
    'RegistrationKeyExpired',
    /** The registration key has enrolled another appliance already. */
    'RegistrationKeyUsed',
    /** The two clocks differ by more than 15 minutes. */
    'ClockSkew',
    /** The named resource is not there. */
    'ResourceNotFound',
    /** The resource is in a state that forbids this now. */
    'Conflict',
    /** Somebody else wrote first, or an If-Match / If-None-Match condition failed. */
    'PreconditionFailed',
    /** What is to be deleted still holds something. */
    'ResourceNotEmpty',
    /** Secondsite does not do this; the message says what to do in its place. */
    'NotSupported',
    /** The request's body is larger than 4 MiB. */
    'RequestTooLarge',
    /** One caller sent more than its share. */
    'TooManyRequests',
    /** Storage, Service Bus or an appliance can't be reached just now; the same call may work later. */
    'Unavailable',
    /** Data in the replica log is missing, altered or out of order; the message names the blob. */
    'ReplicaDamaged',
    /** An appliance, agent or vCenter answered that it could not do what was asked. */
    'RemoteFailure',
  ]),
  message: z.string().max(4_000),
  /** The field, resource or file that the fault is about. */
  target: z.string().max(2_000).optional(),
  possibleCauses: z.string().max(4_000).optional(),
  recommendedAction: z.string().max(4_000).optional(),
  /** Code shown to ARM clients where Site Recovery has one of its own, e.g. ServiceResourceNotEmptyWithContainerDetails. */
  armCode: z.string().max(200).optional(),
});
export type Fault = z.infer<typeof Fault>;

/** A fault on its way to the edge that reports it. */
export class DomainError extends Error {
  readonly fault: Fault;

  constructor(fault: Fault, options?: ErrorOptions) {
    super(fault.message, options);
    this.name = 'DomainError';
    this.fault = fault;
  }
}

/** Whether the same call may succeed later without anybody changing anything. */
export function isRetryable(fault: Fault): boolean {
  return (
    fault.code === 'Unavailable' || fault.code === 'TooManyRequests' || fault.code === 'PreconditionFailed'
  );
}
