import * as fc from 'fast-check';
import rhea from 'rhea';
import { describe, expect, test } from 'vitest';
import { MalformedEncoding, writeText } from './encoding.ts';
import { encodeDelivery, readBatch, readMessage, withApplicationProperties } from './message.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 300 });
const value = fc.oneof(text, fc.boolean(), fc.integer(), fc.double({ noNaN: true, min: 0.5, max: 1e6 }));
const names = fc.string({ unit: fc.constantFrom(...Array.from('abcdefg-')), minLength: 1, maxLength: 20 });
const body = fc
  .uint8Array({ maxLength: 2000 })
  .map((bytes) => rhea.message.data_section(Buffer.from(bytes)) as unknown);
const anyMessage = fc.record(
  {
    message_id: text,
    correlation_id: text,
    subject: text,
    ttl: fc.nat(),
    priority: fc.nat(9),
    durable: fc.boolean(),
    application_properties: fc.dictionary(names, value, { noNullPrototype: true }),
    message_annotations: fc.dictionary(names, text, { noNullPrototype: true }),
    body,
  },
  { requiredKeys: ['body'] },
);

const facts = {
  sequence: 7,
  enqueuedAtMs: 1_700_000_000_000,
  durable: false,
  priority: undefined,
  ttlMs: undefined,
};

function decode(bytes: Buffer): Record<string, unknown> {
  return { ...rhea.message.decode(bytes) };
}

function outcomeOfReading(bytes: Buffer): string {
  try {
    return typeof readMessage(bytes).messageId === 'string' ? 'as it should be' : 'no message id';
  } catch (error) {
    const isForeseen = error instanceof MalformedEncoding || error instanceof RangeError;
    return isForeseen ? 'as it should be' : String(error);
  }
}

describe('a message', () => {
  test('comes out as it went in, with the broker’s header and annotations before it', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(100), (sent, deliveryCount) => {
        const incoming = readMessage(rhea.message.encode(sent));
        const { durable, priority, ttlMs } = incoming;
        const lockedUntilMs = 1_700_000_030_000;
        const got = decode(
          encodeDelivery({ ...facts, durable, priority, ttlMs, deliveryCount, lockedUntilMs }, incoming),
        );
        const expected = decode(rhea.message.encode(sent));
        expect(got['message_annotations']).toEqual({
          ...(expected['message_annotations'] as object | undefined),
          'x-opt-enqueued-time': new Date(facts.enqueuedAtMs),
          'x-opt-sequence-number': 7,
          'x-opt-enqueue-sequence-number': 7,
          'x-opt-locked-until': new Date(lockedUntilMs),
        });
        expect(got['delivery_count']).toBe(deliveryCount);
        expect(got['message_id']).toBe(sent.message_id ?? incoming.messageId);
        for (const name of [
          'correlation_id',
          'subject',
          'ttl',
          'priority',
          'application_properties',
          'body',
        ]) {
          expect(got[name]).toEqual(expected[name]);
        }
      }),
    );
  });

  test('keeps its other application properties when some are set', () => {
    fc.assert(
      fc.property(anyMessage, fc.dictionary(names, text, { noNullPrototype: true }), (sent, changes) => {
        const { bare } = readMessage(rhea.message.encode(sent));
        const encoded = new Map(Object.entries(changes).map(([name, each]) => [name, writeText(each)]));
        const before = decode(bare);
        const after = decode(withApplicationProperties(bare, encoded));
        expect(after['application_properties']).toEqual({
          ...(before['application_properties'] as object | undefined),
          ...changes,
        });
        expect(after['body']).toEqual(before['body']);
        expect(after['message_id']).toEqual(before['message_id']);
      }),
    );
  });

  test('cannot claim the broker’s annotations for itself', () => {
    const sent = { body: 'x', message_annotations: { 'x-opt-sequence-number': 99, mine: 'kept' } };
    const got = decode(
      encodeDelivery({ ...facts, deliveryCount: 0 }, readMessage(rhea.message.encode(sent))),
    );
    expect(got['message_annotations']).toMatchObject({ 'x-opt-sequence-number': 7, mine: 'kept' });
  });

  test('that is cut, changed or made up is refused or read, never anything else', () => {
    const encoded = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(anyMessage, fc.nat(), fc.nat(255), fc.nat()).map(([message, position, byte, length]) => {
        const bytes = rhea.message.encode(message);
        bytes[position % bytes.length] = byte;
        return bytes.subarray(0, length % (bytes.length + 1));
      }),
    );
    fc.assert(
      fc.property(encoded, (bytes) => {
        expect(outcomeOfReading(Buffer.from(bytes))).toBe('as it should be');
      }),
      { numRuns: 1000 },
    );
  });
});

test('a batch holds its messages in their order', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { minLength: 1, maxLength: 20 }), (sent) => {
      const inner = sent.map((each) => rhea.message.encode(each));
      const batch = rhea.message.encode({ body: rhea.message.data_sections(inner) as unknown });
      const ids = readBatch(batch).map(({ messageId }) => messageId);
      expect(ids).toEqual(sent.map(({ message_id: id }, index) => id ?? ids[index]));
    }),
  );
});
