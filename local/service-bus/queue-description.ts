import { durationMs, NEVER, NEVER_MS } from './duration.ts';

/** A queue's settings, under the names and in the forms of the Service Bus administration API. */
export interface QueueDescription {
  LockDuration: string;
  MaxSizeInMegabytes: number;
  RequiresDuplicateDetection: boolean;
  DefaultMessageTimeToLive: string;
  DeadLetteringOnMessageExpiration: boolean;
  DuplicateDetectionHistoryTimeWindow: string;
  MaxDeliveryCount: number;
  EnableBatchedOperations: boolean;
  UserMetadata: string;
}

/** Service Bus's own defaults for a queue of the Standard tier. */
export const DEFAULT_DESCRIPTION: QueueDescription = {
  LockDuration: 'PT1M',
  MaxSizeInMegabytes: 1024,
  RequiresDuplicateDetection: false,
  DefaultMessageTimeToLive: NEVER,
  DeadLetteringOnMessageExpiration: false,
  DuplicateDetectionHistoryTimeWindow: 'PT10M',
  MaxDeliveryCount: 10,
  EnableBatchedOperations: true,
  UserMetadata: '',
};

/** A queue that cannot be as described; the message says which setting and why. */
export class InvalidDescription extends Error {}

/** Settings of the real service that this broker refuses, with the only values it takes for them. */
const UNSUPPORTED: Record<string, (value: string) => boolean> = {
  RequiresSession: (value) => value === 'false',
  EnablePartitioning: (value) => value === 'false',
  EnableExpress: (value) => value === 'false',
  ForwardTo: (value) => value === '',
  ForwardDeadLetteredMessagesTo: (value) => value === '',
  AuthorizationRules: (value) => value === '',
  AutoDeleteOnIdle: (value) => (durationMs(value) ?? 0) >= NEVER_MS,
  Status: (value) => value === 'Active',
  EntityAvailabilityStatus: () => true,
  MaxMessageSizeInKilobytes: (value) => value === '256',
};

/**
 * Applies settings, given as text, to a description.
 * @throws InvalidDescription for a value out of the service's range and for what this broker does not support.
 */
export function describeQueue(settings: Record<string, string>, base: QueueDescription): QueueDescription {
  const description = { ...base };
  for (const [name, value] of Object.entries(settings)) {
    const accepts = UNSUPPORTED[name];
    if (accepts !== undefined) {
      if (!accepts(value)) {
        throw new InvalidDescription(`not supported by the local Service Bus: ${name} = ${value}`);
      }
    } else if (name in READERS) {
      Object.assign(description, { [name]: READERS[name as keyof QueueDescription](value, name) });
    }
  }
  return description;
}

type Reader = (value: string, name: string) => string | number | boolean;

const READERS: Record<keyof QueueDescription, Reader> = {
  LockDuration: duration(5000, 5 * 60_000),
  MaxSizeInMegabytes: integer(1, 5 * 1024),
  RequiresDuplicateDetection: boolean,
  DefaultMessageTimeToLive: duration(1000, Infinity),
  DeadLetteringOnMessageExpiration: boolean,
  DuplicateDetectionHistoryTimeWindow: duration(20_000, 7 * 86_400_000),
  MaxDeliveryCount: integer(1, 2000),
  EnableBatchedOperations: boolean,
  UserMetadata: (value) => value,
};

function duration(minMs: number, maxMs: number): Reader {
  return (value, name) => {
    const ms = durationMs(value);
    if (ms === undefined || ms < minMs || ms > maxMs) {
      const most = maxMs === Infinity ? '' : ` to ${maxMs / 1000} s`;
      throw new InvalidDescription(
        `${name} must be an ISO 8601 duration of ${minMs / 1000} s${most || ' or more'}: '${value}'`,
      );
    }
    return value;
  };
}

function integer(min: number, max: number): Reader {
  return (value, name) => {
    const number = Number(value);
    if (!Number.isInteger(number) || number < min || number > max) {
      throw new InvalidDescription(`${name} must be a whole number from ${min} to ${max}: '${value}'`);
    }
    return number;
  };
}

function boolean(value: string, name: string): boolean {
  if (value === 'true' || value === 'false') return value === 'true';
  throw new InvalidDescription(`${name} must be true or false: '${value}'`);
}

const QUEUE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?$/;

/** @throws InvalidDescription when Service Bus would not take the name. */
export function checkQueueName(name: string): void {
  if (!QUEUE_NAME.test(name)) {
    throw new InvalidDescription(
      `a queue's name has 1 to 260 letters, digits, '.', '-', '_' and '/', and starts and ends with a letter or digit: '${name.slice(0, 300)}'`,
    );
  }
}

/** What the broker needs of a description while it moves messages. */
export interface QueueLimits {
  lockMs: number;
  defaultTtlMs: number | undefined;
  maxSizeBytes: number;
  maxDeliveryCount: number;
  deadLetterOnExpiry: boolean;
  /** How long message ids are remembered, or undefined without duplicate detection. */
  duplicateWindowMs: number | undefined;
}

/** A description's limits as numbers. */
export function limitsOf(description: QueueDescription): QueueLimits {
  const ttlMs = durationMs(description.DefaultMessageTimeToLive) ?? NEVER_MS;
  return {
    lockMs: durationMs(description.LockDuration) ?? 60_000,
    defaultTtlMs: ttlMs >= NEVER_MS ? undefined : ttlMs,
    maxSizeBytes: description.MaxSizeInMegabytes * 1024 * 1024,
    maxDeliveryCount: description.MaxDeliveryCount,
    deadLetterOnExpiry: description.DeadLetteringOnMessageExpiration,
    duplicateWindowMs: description.RequiresDuplicateDetection
      ? durationMs(description.DuplicateDetectionHistoryTimeWindow)
      : undefined,
  };
}
