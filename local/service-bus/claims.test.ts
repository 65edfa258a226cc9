import { expect, test } from 'vitest';
import { Claims } from './claims.ts';
import { type Grant, type Right, TokenRefused } from './sas.ts';

function grant(path: string, expiresAtMs: number, ...rights: Right[]): Grant {
  return { ruleName: 'rule', path, expiresAtMs, rights: new Set(rights) };
}

test('a right holds where it was granted and until its token expires', () => {
  const claims = new Claims();
  claims.put('sb://localhost/orders', grant('', 1000, 'Listen'));
  expect(claims.allows('Listen', 'orders', 999)).toBe(true);
  expect(claims.allows('Listen', 'orders/$management', 999)).toBe(true);
  expect(claims.allows('Listen', 'orders', 1000)).toBe(false);
  expect(claims.allows('Send', 'orders', 999)).toBe(false);
  expect(claims.allows('Listen', 'invoices', 999)).toBe(false);
});

test('a new token for the same audience extends the old one’s time', () => {
  const claims = new Claims();
  claims.put('sb://localhost/orders', grant('orders', 1000, 'Listen'));
  claims.put('sb://localhost/Orders', grant('orders', 2000, 'Listen'));
  expect(claims.nextExpiryMs(0)).toBe(2000);
  expect(claims.allows('Listen', 'orders', 1500)).toBe(true);
});

test('the next expiry is the earliest that is still to come', () => {
  const claims = new Claims();
  claims.put('sb://localhost/a', grant('', 1000, 'Send'));
  claims.put('sb://localhost/b', grant('', 3000, 'Send'));
  expect(claims.nextExpiryMs(0)).toBe(1000);
  expect(claims.nextExpiryMs(1000)).toBe(3000);
  expect(claims.nextExpiryMs(3000)).toBeUndefined();
});

test('a token cannot be put for an audience outside its own scope', () => {
  const claims = new Claims();
  expect(() => claims.put('sb://localhost/orders-old', grant('orders', 1000, 'Send'))).toThrow(TokenRefused);
  expect(claims.allows('Send', 'orders-old', 0)).toBe(false);
});
