import type { ServiceBusReceivedMessage } from '@azure/service-bus';

import type { RpcTypedData } from '../core-api.ts';

/** A message's body as a function gets it: text, which the library parses when it is JSON. */
export function bodyData(message: ServiceBusReceivedMessage): RpcTypedData {
  const body: unknown = message.body;
  if (Buffer.isBuffer(body)) return { string: body.toString('utf8') };
  if (typeof body === 'string') return { string: body };
  return { json: JSON.stringify(body ?? null) };
}

/**
 * What a function finds in `triggerMetadata`; the library writes the first letter of each name in lower case.
 * https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus-trigger#message-metadata
 */
export function messageMetadata(message: ServiceBusReceivedMessage): Record<string, RpcTypedData> {
  const metadata: Record<string, unknown> = {
    MessageId: message.messageId,
    // The SDK counts the deliveries before this one.
    DeliveryCount: (message.deliveryCount ?? 0) + 1,
    SequenceNumber: message.sequenceNumber?.toNumber(),
    ...timesOf(message),
    EnqueuedSequenceNumber: message.enqueuedSequenceNumber,
    LockToken: message.lockToken,
    ContentType: message.contentType,
    CorrelationId: message.correlationId,
    Label: message.subject,
    Subject: message.subject,
    To: message.to,
    ReplyTo: message.replyTo,
    ReplyToSessionId: message.replyToSessionId,
    PartitionKey: message.partitionKey,
    SessionId: message.sessionId,
    TimeToLive: message.timeToLive,
    DeadLetterSource: message.deadLetterSource,
    DeadLetterReason: message.deadLetterReason,
    DeadLetterErrorDescription: message.deadLetterErrorDescription,
    ApplicationProperties: message.applicationProperties ?? {},
    UserProperties: message.applicationProperties ?? {},
  };
  const data: Record<string, RpcTypedData> = {};
  for (const [name, value] of Object.entries(metadata)) {
    if (value !== undefined && value !== null) data[name] = toData(value);
  }
  return data;
}

function timesOf(message: ServiceBusReceivedMessage): Record<string, string | undefined> {
  const enqueuedAt = message.enqueuedTimeUtc?.toISOString();
  const expiresAt = message.expiresAtUtc?.toISOString();
  return {
    EnqueuedTimeUtc: enqueuedAt,
    EnqueuedTime: enqueuedAt,
    ExpiresAtUtc: expiresAt,
    ExpiresAt: expiresAt,
    LockedUntil: message.lockedUntilUtc?.toISOString(),
  };
}

/** A text goes as JSON, as the library would read `"12"` as a number otherwise. */
function toData(value: unknown): RpcTypedData {
  return { json: JSON.stringify(value) };
}
