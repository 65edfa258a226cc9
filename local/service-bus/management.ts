import rhea, { type Message } from 'rhea';
import { writeText } from './encoding.ts';
import type { Lock } from './lane.ts';
import { encodeDelivery, readMessage } from './message.ts';
import type { Node } from './namespace.ts';
import { deferRefused } from './outcome.ts';
import { lockLost } from './queue.ts';
import { Refusal } from './refusal.ts';
import { encodeValue } from './rhea-internals.ts';
import type { Reply } from './request.ts';
import type { Right } from './sas.ts';

type ManagementNode = Node & { kind: 'management' };
type Body = Record<string, unknown>;
interface Operation {
  right: Right;
  run: (node: ManagementNode, body: Body) => Reply;
}

/** The most a peek answers with. */
const PEEK_MESSAGES = 250;
const PEEK_BYTES = 1024 * 1024;

const OPERATIONS: Record<string, Operation> = {
  'com.microsoft:peek-message': { right: 'Listen', run: peek },
  'com.microsoft:renew-lock': { right: 'Listen', run: renewLocks },
  'com.microsoft:update-disposition': { right: 'Listen', run: updateDisposition },
  'com.microsoft:schedule-message': { right: 'Send', run: schedule },
  'com.microsoft:cancel-scheduled-message': { right: 'Send', run: cancelScheduled },
};

/**
 * A request to a queue's `$management` node:
 * https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response
 * @throws Refusal when the claims do not give the right, or the request cannot be carried out.
 */
export function manage(node: ManagementNode, request: Message, allows: (right: Right) => boolean): Reply {
  const name = String((request['application_properties'] as Body | undefined)?.['operation']);
  const operation = OPERATIONS[name];
  if (operation === undefined) {
    throw new Refusal('amqp:not-implemented', `not supported by the local Service Bus: ${name}`);
  }
  if (!allows(operation.right)) {
    throw new Refusal(
      'amqp:unauthorized-access',
      `Unauthorized access. '${operation.right}' claim(s) are required for ${name} on '${node.path}'.`,
    );
  }
  return operation.run(node, (request['body'] ?? {}) as Body);
}

function peek({ queue, dead }: ManagementNode, body: Body): Reply {
  const from = integer(body['from-sequence-number'], 'from-sequence-number');
  const count = Math.min(integer(body['message-count'], 'message-count'), PEEK_MESSAGES);
  const messages: { message: Buffer }[] = [];
  let bytes = 0;
  for (const message of queue.peek(dead, from, count)) {
    if (message.content === undefined) continue;
    bytes += message.sizeBytes;
    if (messages.length > 0 && bytes > PEEK_BYTES) break;
    const scheduled = message.scheduledAtMs !== undefined;
    messages.push({ message: encodeDelivery({ ...message, scheduled }, message.content) });
  }
  if (messages.length === 0) return { status: 204, description: 'No content' };
  return { status: 200, description: 'OK', body: { messages } };
}

function renewLocks(node: ManagementNode, body: Body): Reply {
  const nowMs = Date.now();
  const locks = findLocks(node, body, nowMs);
  const expirations = locks.map((lock) => node.queue.renew(lock, nowMs));
  return {
    status: 200,
    description: 'OK',
    body: { expirations: rhea.types.wrap_array(expirations, 0x83, undefined) },
  };
}

/** Settles by lock token what its receiver cannot settle on its link any more. */
function updateDisposition(node: ManagementNode, body: Body): Reply {
  const { queue } = node;
  const status = body['disposition-status'];
  const changes = new Map<string, Buffer>();
  for (const [name, value] of Object.entries((body['properties-to-modify'] ?? {}) as Body)) {
    changes.set(name, encodeValue(value));
  }
  if (status === 'defered') throw deferRefused();
  for (const lock of findLocks(node, body, Date.now())) {
    if (status === 'completed') queue.complete(lock);
    else if (status === 'abandoned') queue.abandon(lock, changes);
    else if (status === 'suspended') queue.deadLetterLocked(lock, withReason(changes, body));
    else throw argumentError(`disposition-status '${String(status)}' is none that exists.`);
  }
  return { status: 200, description: 'OK' };
}

function withReason(changes: Map<string, Buffer>, body: Body): Map<string, Buffer> {
  const [reason, description] = [body['deadletter-reason'], body['deadletter-description']];
  if (typeof reason === 'string') changes.set('DeadLetterReason', writeText(reason));
  if (typeof description === 'string') changes.set('DeadLetterErrorDescription', writeText(description));
  return changes;
}

function schedule({ queue }: ManagementNode, body: Body): Reply {
  const entries = Array.isArray(body['messages']) ? (body['messages'] as Body[]) : [];
  const messages = entries.map((entry) => {
    if (!Buffer.isBuffer(entry['message']))
      throw argumentError('each entry of messages must have a message.');
    const message = readMessage(entry['message']);
    if (message.scheduledAtMs === undefined) {
      throw argumentError('a message to schedule must have x-opt-scheduled-enqueue-time.');
    }
    return message;
  });
  const sequences = queue.send(messages, Date.now());
  return {
    status: 200,
    description: 'OK',
    body: { 'sequence-numbers': rhea.types.wrap_array(sequences, 0x81, undefined) },
  };
}

function cancelScheduled({ queue }: ManagementNode, body: Body): Reply {
  const sequences = array(body['sequence-numbers']).map((each) => integer(each, 'sequence-numbers'));
  queue.cancelScheduled([...new Set(sequences)]);
  return { status: 200, description: 'OK' };
}

function findLocks({ queue, dead }: ManagementNode, body: Body, nowMs: number): Lock[] {
  const lane = dead ? queue.deadLetter : queue.main;
  return array(body['lock-tokens']).map((token) => {
    const lock = Buffer.isBuffer(token) && token.length === 16 && lane.findLock(tagOf(token), nowMs);
    if (!lock) throw lockLost();
    return lock;
  });
}

/** A lock token as a delivery tag: the first three groups of the GUID are in .NET's byte order there. */
function tagOf(token: Buffer): Buffer {
  const order = [3, 2, 1, 0, 5, 4, 7, 6];
  return Buffer.concat([Buffer.from(order.map((index) => token[index] ?? 0)), token.subarray(8)]);
}

function array(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A number that may have come as an 8-byte long. */
function integer(value: unknown, name: string): number {
  const number =
    Buffer.isBuffer(value) && value.length === 8 ? Number(value.readBigInt64BE()) : Number(value);
  if (!Number.isFinite(number)) throw argumentError(`${name} must be a number.`);
  return number;
}

function argumentError(reason: string): Refusal {
  return new Refusal('com.microsoft:argument-error', `The request is not valid: ${reason}`);
}
