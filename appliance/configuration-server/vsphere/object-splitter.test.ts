import { array, assert, constantFrom, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ObjectSplitter } from './object-splitter.ts';

const isObject = (part: string): boolean => /^<objects[ >]/u.test(part);

describe('splitting an answer into its objects', () => {
  const piece = constantFrom(
    '<objects>1</objects>',
    '<objects a="b"><c/></objects>',
    '<objectSet/>',
    '<t>&lt;</t>',
    '\n',
  );

  it('gives the same whatever the chunks', () => {
    const cuts = array(integer({ min: 1, max: 12 }), { minLength: 1 });
    assert(
      property(array(piece), cuts, (pieces, lengths) => {
        const text = `<r>${pieces.join('')}</r>`;
        const objects: string[] = [];
        const splitter = new ObjectSplitter('objects', 1000, (xml) => objects.push(xml));
        for (let at = 0, turn = 0; at < text.length; turn += 1) {
          const length = lengths[turn % lengths.length] ?? 1;
          splitter.push(text.slice(at, at + length));
          at += length;
        }
        expect(objects).toEqual(pieces.filter(isObject));
        expect(splitter.end()).toBe(`<r>${pieces.filter((part) => !isObject(part)).join('')}</r>`);
      }),
    );
  });

  it('refuses a document type that comes in two chunks', () => {
    const splitter = new ObjectSplitter('objects', 1000, () => undefined);
    splitter.push('<');
    expect(() => splitter.push('!DOCTYPE a>')).toThrow('refused');
  });

  it('refuses an answer that ends within an object', () => {
    const splitter = new ObjectSplitter('objects', 1000, () => undefined);
    splitter.push('<r><objects><a>');
    expect(() => splitter.end()).toThrow('ends within');
  });
});
