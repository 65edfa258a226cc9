import { randomUUID } from 'node:crypto';
import {
  MalformedEncoding,
  readBinary,
  readBoolean,
  readInteger,
  readItems,
  readSections,
  readText,
  type Section,
  type Span,
  writeSection,
  writeSymbol,
  writeText,
} from './encoding.ts';

/** Section descriptors of an AMQP 1.0 message (AMQP 1.0 part 3, section 3.2). */
const SECTION = {
  header: 0x70,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
};

/** Annotations that only the broker writes; what a client sends under these names is dropped. */
const BROKER_ANNOTATIONS = new Set([
  'x-opt-sequence-number',
  'x-opt-enqueue-sequence-number',
  'x-opt-enqueued-time',
  'x-opt-locked-until',
  'x-opt-message-state',
  'x-opt-deadletter-source',
]);

/** What of a message is stored as bytes and never looked into again. */
export interface MessageContent {
  /** Properties, application properties, body and footer. */
  bare: Buffer;
  /** The client's own message annotations: keys and values, encoded, without the map's head. */
  annotations: Buffer;
  /** How many items (keys plus values) `annotations` holds. */
  annotationItems: number;
}

/** A message as a client sent it, ready to be stored. */
export interface IncomingMessage extends MessageContent {
  /** The sender's message id as text; made up where the sender gave none. */
  messageId: string;
  durable: boolean;
  priority: number | undefined;
  ttlMs: number | undefined;
  scheduledAtMs: number | undefined;
}

/**
 * Reads one encoded message.
 * @throws MalformedEncoding when the bytes are not an AMQP message.
 */
export function readMessage(bytes: Buffer): IncomingMessage {
  const sections = readSections(bytes);
  const header = readHeader(bytes, section(sections, SECTION.header));
  const annotations = readAnnotations(bytes, section(sections, SECTION.messageAnnotations));
  const bareStart = sections.find((each) => each.code >= SECTION.properties)?.start;
  if (bareStart === undefined) throw new MalformedEncoding('the message has no body');
  const { messageId, bare } = ensureMessageId(bytes, bareStart, section(sections, SECTION.properties));
  return { ...header, ...annotations, messageId, bare };
}

/** The encoded messages inside a batch envelope (message format 0x80013700). */
export function readBatch(bytes: Buffer): IncomingMessage[] {
  const messages: IncomingMessage[] = [];
  for (const { code, value } of readSections(bytes)) {
    if (code !== SECTION.data) continue;
    const inner = readBinary(bytes, value.start);
    if (inner === undefined) throw new MalformedEncoding('a batch holds a section that is not binary');
    messages.push(readMessage(inner));
  }
  return messages;
}

function section(sections: Section[], code: number): Section | undefined {
  return sections.find((each) => each.code === code);
}

function readHeader(bytes: Buffer, header: Section | undefined) {
  const items = header === undefined ? [] : readItems(bytes, header.value.start);
  const [durable, priority, ttl] = items;
  return {
    durable: durable !== undefined && readBoolean(bytes, durable.start),
    priority: priority === undefined ? undefined : readInteger(bytes, priority.start),
    ttlMs: ttl === undefined ? undefined : readInteger(bytes, ttl.start),
  };
}

function readAnnotations(bytes: Buffer, annotations: Section | undefined) {
  const items = annotations === undefined ? [] : readItems(bytes, annotations.value.start);
  const kept: Buffer[] = [];
  let scheduledAtMs: number | undefined;
  for (const [key, value] of pairs(items)) {
    const name = readText(bytes, key.start) ?? '';
    if (BROKER_ANNOTATIONS.has(name)) continue;
    if (name === 'x-opt-scheduled-enqueue-time') scheduledAtMs = readInteger(bytes, value.start);
    kept.push(bytes.subarray(key.start, value.end));
  }
  return { annotations: Buffer.concat(kept), annotationItems: kept.length * 2, scheduledAtMs };
}

function* pairs(items: Span[]): Generator<[Span, Span]> {
  for (let index = 0; index + 1 < items.length; index += 2) {
    const key = items[index];
    const value = items[index + 1];
    if (key !== undefined && value !== undefined) yield [key, value];
  }
}

function ensureMessageId(bytes: Buffer, bareStart: number, properties: Section | undefined) {
  const items = properties === undefined ? [] : readItems(bytes, properties.value.start);
  const first = items[0];
  const found = first === undefined ? undefined : messageIdText(bytes, first);
  if (found !== undefined) return { messageId: found, bare: Buffer.from(bytes.subarray(bareStart)) };
  const messageId = randomUUID().replaceAll('-', '');
  const rest = items.slice(1).map(({ start, end }) => bytes.subarray(start, end));
  const rewritten = writeSection(SECTION.properties, 0xd0, [writeText(messageId), ...rest], rest.length + 1);
  return { messageId, bare: Buffer.concat([rewritten, bytes.subarray(properties?.value.end ?? bareStart)]) };
}

/** Message ids are text, a number, a UUID or binary; null is none. */
function messageIdText(bytes: Buffer, { start, end }: Span): string | undefined {
  if (bytes[start] === 0x40) return undefined;
  const text = readText(bytes, start) ?? readInteger(bytes, start)?.toString();
  return text ?? bytes.toString('hex', start, end);
}

/** Sets application properties (name to encoded value) in a message's bare part, keeping the others. */
export function withApplicationProperties(bare: Buffer, changes: Map<string, Buffer>): Buffer {
  const sections = readSections(bare);
  const old = section(sections, SECTION.applicationProperties);
  const items: Buffer[] = [];
  for (const [key, value] of pairs(old === undefined ? [] : readItems(bare, old.value.start))) {
    if (!changes.has(readText(bare, key.start) ?? '')) items.push(bare.subarray(key.start, value.end));
  }
  for (const [name, value] of changes) items.push(Buffer.concat([writeText(name), value]));
  const before = old?.start ?? section(sections, SECTION.properties)?.value.end ?? 0;
  return Buffer.concat([
    bare.subarray(0, before),
    writeSection(SECTION.applicationProperties, 0xd1, items, items.length * 2),
    bare.subarray(old?.value.end ?? before),
  ]);
}

/** What the broker says about a message beside its content. */
export interface DeliveryFacts {
  sequence: number;
  enqueuedAtMs: number;
  durable: boolean;
  priority: number | undefined;
  ttlMs: number | undefined;
  deliveryCount: number;
  /** Set when the message is locked for its receiver. */
  lockedUntilMs?: number;
  /** Set on peeked messages that are not active. */
  scheduled?: boolean;
}

const SYMBOL = {
  sequence: writeSymbol('x-opt-sequence-number'),
  enqueuedSequence: writeSymbol('x-opt-enqueue-sequence-number'),
  enqueuedTime: writeSymbol('x-opt-enqueued-time'),
  lockedUntil: writeSymbol('x-opt-locked-until'),
  messageState: writeSymbol('x-opt-message-state'),
};

/** The message as its receiver gets it: the broker's header and annotations before the bare message. */
export function encodeDelivery(facts: DeliveryFacts, content: MessageContent): Buffer {
  const items = [
    content.annotations,
    SYMBOL.enqueuedTime,
    eightBytes(0x83, facts.enqueuedAtMs),
    SYMBOL.sequence,
    eightBytes(0x81, facts.sequence),
    SYMBOL.enqueuedSequence,
    eightBytes(0x81, facts.sequence),
  ];
  let count = content.annotationItems + 6;
  if (facts.lockedUntilMs !== undefined) {
    items.push(SYMBOL.lockedUntil, eightBytes(0x83, facts.lockedUntilMs));
    count += 2;
  }
  if (facts.scheduled === true) {
    items.push(SYMBOL.messageState, Buffer.from([0x54, 2]));
    count += 2;
  }
  const annotations = writeSection(SECTION.messageAnnotations, 0xd1, items, count);
  return Buffer.concat([encodeHeader(facts), annotations, content.bare]);
}

function encodeHeader({ durable, priority, ttlMs, deliveryCount }: DeliveryFacts): Buffer {
  const bytes = Buffer.allocUnsafe(32);
  let at = bytes.writeUInt8(durable ? 0x41 : 0x42, 6);
  if (priority === undefined) at = bytes.writeUInt8(0x40, at);
  else at = bytes.writeUInt8(priority & 0xff, bytes.writeUInt8(0x50, at));
  if (ttlMs === undefined) at = bytes.writeUInt8(0x40, at);
  else at = bytes.writeUInt32BE(Math.min(ttlMs, 0xffffffff), bytes.writeUInt8(0x70, at));
  at = bytes.writeUInt8(0x40, at);
  at = bytes.writeUInt32BE(deliveryCount, bytes.writeUInt8(0x70, at));
  bytes.set([0x00, 0x53, SECTION.header, 0xc0, at - 5, 5]);
  return bytes.subarray(0, at);
}

function eightBytes(code: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(9);
  bytes[0] = code;
  bytes.writeBigInt64BE(BigInt(Math.trunc(value)), 1);
  return bytes;
}
