import { describe, expect, it } from 'vitest';
import { generateDataKey, pointKey, segmentKeys, unwrapDataKey, wrapDataKey } from './keys.ts';

const wrappingKey = generateDataKey();
const dataKey = generateDataKey();

describe("an item's data key", () => {
  it('is unwrapped by the vault key that wrapped it, for the same item', () => {
    const wrapped = wrapDataKey(dataKey, wrappingKey, 'item');
    expect(unwrapDataKey(wrapped, wrappingKey, 'item').equals(dataKey)).toBe(true);
    expect(wrapDataKey(dataKey, wrappingKey, 'item').equals(wrapped)).toBe(false);
  });

  it('is refused for another item, with another vault key, and with any bit changed', () => {
    const wrapped = wrapDataKey(dataKey, wrappingKey, 'item');
    expect(() => unwrapDataKey(wrapped, wrappingKey, 'other')).toThrow('the wrapped data key of other');
    expect(() => unwrapDataKey(wrapped, generateDataKey(), 'item')).toThrow('of another vault key');
    for (let bit = 0; bit < wrapped.length * 8; bit += 1) {
      const changed = Buffer.from(wrapped);
      changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7));
      expect(() => unwrapDataKey(changed, wrappingKey, 'item')).toThrow('item');
    }
    expect(() => unwrapDataKey(wrapped.subarray(1), wrappingKey, 'item')).toThrow('60 bytes, expected 61');
  });

  it('gives every segment, item and purpose keys of its own', () => {
    const salt = Buffer.alloc(32, 1);
    const base = { itemId: 'item', sequence: 1, salt };
    const others = [
      { ...base, itemId: 'other' },
      { ...base, sequence: 2 },
      { ...base, salt: Buffer.alloc(32, 2) },
    ];
    const keys = [base, ...others].flatMap((header) => Object.values(segmentKeys(dataKey, header)));
    keys.push(pointKey(dataKey, 'item'), pointKey(dataKey, 'other'));
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(10);
  });

  it('must have 32 bytes', () => {
    expect(() => wrapDataKey(Buffer.alloc(31), wrappingKey, 'item')).toThrow('a data key has 32 bytes');
    expect(() => wrapDataKey(dataKey, Buffer.alloc(33), 'item')).toThrow('a wrapping key has 32 bytes');
  });
});
