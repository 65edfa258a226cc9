import { describe, expect, it } from 'vitest';
import { ShortCache } from './short-cache.ts';

describe('a short cache', () => {
  it('reads once while a value lives, for each key', async () => {
    const cache = new ShortCache<string>(60_000);
    const reads: string[] = [];
    const read = (key: string) => () => {
      reads.push(key);
      return Promise.resolve(`value of ${key}`);
    };
    expect(await cache.get('a', read('a'))).toBe('value of a');
    expect(await cache.get('a', read('a'))).toBe('value of a');
    await cache.get('b', read('b'));
    expect(reads).toEqual(['a', 'b']);
  });

  it('keeps neither what is not there nor what could not be read', async () => {
    const cache = new ShortCache<string | undefined>(60_000);
    expect(await cache.get('a', () => Promise.resolve(undefined))).toBeUndefined();
    await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down');
    expect(await cache.get('a', () => Promise.resolve('here'))).toBe('here');
  });

  it('reads again when the value’s life is over', async () => {
    const cache = new ShortCache<number>(0);
    let reads = 0;
    const read = () => Promise.resolve((reads += 1));
    await cache.get('a', read);
    expect(await cache.get('a', read)).toBe(2);
  });
});
