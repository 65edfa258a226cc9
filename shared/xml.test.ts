import { array, assert, constantFrom, property, string } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeXml, parseXml, XmlError } from './xml.ts';

function failureOf(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('XML text', () => {
  it('comes back as it was written, whatever it is', () => {
    assert(
      property(string({ unit: 'grapheme' }), (text) => {
        // oxlint-disable-next-line no-control-regex -- what XML 1.0 cannot carry
        const carried = text.replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/gu, '\ufffd');
        const element = parseXml(`<a b="${escapeXml(text.replaceAll(/\s/gu, ' '))}">${escapeXml(text)}</a>`);
        expect(element.child('a')?.text).toBe(carried);
      }),
    );
  });

  it('is not decoded twice', () => {
    expect(parseXml('<a>&amp;lt;</a>').childText('a')).toBe('&lt;');
    expect(parseXml(`<a>${escapeXml('&#13;&amp;')}</a>`).childText('a')).toBe('&#13;&amp;');
  });

  it('knows characters by number', () => {
    expect(parseXml('<a>&#34;&#x1F4BE;&#xA;</a>').childText('a')).toBe('"💾\n');
  });

  it.each(['&b;', '&', '& b', '&#x110000;', '&constructor;', '&#;', '&#0;', '&#xd800;'])(
    'refuses the entity %s',
    (entity) => {
      expect(() => parseXml(`<a>${entity}</a>`)).toThrow(XmlError);
    },
  );
});

describe('XML elements', () => {
  it('keep the type of a reference apart from xsi:type, whatever its prefix', () => {
    const root = parseXml('<a type="VirtualMachine" XMLSchema-instance:type="vim:Reference">vm-1</a>').child(
      'a',
    );
    expect(root?.attribute('type')).toBe('VirtualMachine');
    expect(root?.xsiType).toBe('Reference');
  });

  it('are found without their prefix', () => {
    expect(parseXml('<s:a xmlns:s="x"><s:b>1</s:b><b>2</b></s:a>').child('a')?.children('b')).toHaveLength(2);
  });

  it.each([
    '<a>',
    '<a></b>',
    '<a><b></a></b>',
    'text',
    '<a',
    '<!DOCTYPE a><a/>',
    '<a><!-- b --></a>',
    '<a><![CDATA[b]]></a>',
    '<a>'.repeat(70) + '</a>'.repeat(70),
  ])('are refused: %s', (text) => {
    expect(() => parseXml(text)).toThrow(XmlError);
  });

  it('are read or refused with an XmlError, whatever the text', () => {
    const piece = constantFrom(
      '<',
      '>',
      '/',
      'a',
      ' ',
      '"',
      '=',
      '&',
      ';',
      '#',
      '?',
      '!',
      ':',
      '-',
      '[',
      ']',
    );
    assert(
      property(array(piece, { maxLength: 40 }), (pieces) => {
        const failure = failureOf(() => parseXml(pieces.join('')));
        expect(failure === undefined || failure instanceof XmlError).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
