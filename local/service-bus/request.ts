import rhea, { type EventContext, type Message, type Sender } from 'rhea';
import { Refusal } from './refusal.ts';
import { decodeMessage } from './rhea-internals.ts';

/** A reply to a request on `$cbs` or `$management`. */
export interface Reply {
  status: number;
  description: string;
  condition?: string;
  body?: unknown;
}

/** What answering a request takes. */
export interface RequestHandling {
  handle: (request: Message) => Reply;
  findReplyLink: (replyTo: string) => Sender | undefined;
  afterCommit: (act: () => void) => void;
}

/** HTTP-like status codes of the conditions that requests end with. */
const STATUS: Record<string, number> = {
  'amqp:not-found': 404,
  'com.microsoft:message-not-found': 404,
  'amqp:unauthorized-access': 401,
  'amqp:not-implemented': 501,
  'com.microsoft:message-lock-lost': 410,
  'com.microsoft:argument-error': 400,
  'amqp:not-allowed': 400,
  'amqp:resource-limit-exceeded': 403,
  'amqp:decode-error': 400,
};

/** Carries out a request and sends its reply once everything it wrote is committed. */
export function answerRequest({ message }: EventContext, handling: RequestHandling): void {
  const request = decodeMessage(message as unknown as Buffer);
  const reply = replyTo(request, handling);
  handling.afterCommit(() => {
    const link = handling.findReplyLink(String(request['reply_to']));
    if (link === undefined || !link.is_open()) return;
    link.send(encodeReply(request, reply), Buffer.alloc(1), 0);
  });
}

function replyTo(request: Message, { handle }: RequestHandling): Reply {
  try {
    return handle(request);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const status = STATUS[error.condition] ?? 500;
    return { status, description: error.message, condition: error.condition };
  }
}

function encodeReply(request: Message, { status, description, condition, body }: Reply): Buffer {
  const code = rhea.types.wrap_int(status);
  // $cbs clients read the names with a dash, $management clients the others.
  const properties: Record<string, unknown> = {
    statusCode: code,
    'status-code': code,
    statusDescription: description,
    'status-description': description,
  };
  if (condition !== undefined) {
    properties['errorCondition'] = rhea.types.wrap_symbol(condition);
    properties['error-condition'] = rhea.types.wrap_symbol(condition);
  }
  return rhea.message.encode({
    correlation_id: request['message_id'],
    application_properties: properties,
    body: body ?? null,
  });
}
