import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { matchRoute, parseRoute, splitPath } from './route.ts';

function match(template: string, path: string): Record<string, string> | undefined {
  return matchRoute(parseRoute(template), splitPath(path));
}

test.for<[string, string, Record<string, string> | undefined]>([
  ['a/b', '/A/B/', {}],
  ['a/b', '/a', undefined],
  ['a/b', '/a/b/c', undefined],
  ['', '/', {}],
  ['{x}', '/', undefined],
  ['{x?}', '/', {}],
  ['{x}/b', '/1/b', { x: '1' }],
  ['{x}/{y?}', '/1', { x: '1' }],
  ['{x=d}', '/', { x: 'd' }],
  ['{x:int=5}', '/x', undefined],
  ['{*rest}', '/', {}],
  ['{*rest}', '/a/b%2Fc', { rest: 'a/b%2Fc' }],
  ['{**rest}', '/a/b', { rest: 'a/b' }],
  ['a/{*rest:int}', '/a/12', { rest: '12' }],
  ['a/{*rest:int}', '/a/b', undefined],
  ['{name}.{extension}', '/a.b.c', { name: 'a.b', extension: 'c' }],
  ['v{major}.{minor}', '/V1.2', { major: '1', minor: '2' }],
  ['({x})+[y]', '/(1)+[y]', { x: '1' }],
  [String.raw`{x:regex(^\d{{3}}$)}`, '/123', { x: '123' }],
  [String.raw`{x:regex(^\d{{3}}$)}`, '/1234', undefined],
  ['{x:bool}', '/TRUE', { x: 'TRUE' }],
  ['{x:long}', '/9223372036854775808', undefined],
  ['{x:decimal}', '/1.5e3', undefined],
  ['{x:double}', '/1.5e3', { x: '1.5e3' }],
  ['{x:datetime}', '/2026-01-02', { x: '2026-01-02' }],
  ['{x:minlength(2):maxlength(3)}', '/abcd', undefined],
  ['{x:length(2)}', '/ab', { x: 'ab' }],
  ['{x:min(-3)}', '/-3', { x: '-3' }],
  ['{x:max(3)}', '/4', undefined],
])('%s on %s', ([template, path, expected]) => {
  expect(match(template, path)).toEqual(expected);
});

test.for<[string, string]>([
  ['{a', "'{' without '}'"],
  ['a}', "'}' without '{'"],
  ['{}', 'is no parameter'],
  ['{*a}/b', 'a catch-all must come last'],
  ['{a}/{A}', 'names a parameter twice'],
  ['{a:nonsense}', "not supported by the local host: route constraint 'nonsense'"],
  ['{a:length(x)}', "not supported by the local host: route constraint 'length(x)'"],
  ['x{a?}', 'not supported by the local host'],
])('%s is refused: %s', ([template, message]) => {
  expect(() => parseRoute(template)).toThrow(message);
});

test('any path can be split, and any text is found again in its segment', () => {
  fc.assert(
    fc.property(fc.string(), (path) => {
      expect(splitPath(path)).toBeInstanceOf(Array);
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
      const expected = text.replaceAll('/', '%2F');
      expect(match('a/{x}/b', `/a/${encodeURIComponent(text)}/b`)).toEqual({ x: expected });
    }),
  );
});
