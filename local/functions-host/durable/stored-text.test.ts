import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { loadText, storeText } from './stored-text.ts';

test('every text comes back as it was, in parts that fit a property, or from a blob', async () => {
  const blobs = new Map<string, string>();
  const longTexts = {
    write: async (name: string, text: string) => void blobs.set(name, text),
    read: async (name: string) => blobs.get(name) ?? '',
  };
  const lengths = fc.constantFrom(1, 29_999, 30_000, 30_001, 90_000, 120_000, 120_001);
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 40 }), lengths, async (unit, length) => {
      const text = unit.repeat(Math.ceil(length / Math.max(unit.length, 1))).slice(0, length);
      const properties = await storeText('t', text, 'the-blob', longTexts);
      for (const value of Object.values(properties)) expect(String(value).length).toBeLessThanOrEqual(30_000);
      expect((await loadText('t', properties, longTexts)) === text).toBe(true);
    }),
    { numRuns: 50 },
  );
  expect(await loadText('t', await storeText('t', null, '', longTexts), longTexts)).toBe(null);
  expect(await loadText('t', await storeText('t', '', '', longTexts), longTexts)).toBe('');
});
