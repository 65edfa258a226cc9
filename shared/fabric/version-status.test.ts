import { expect, it } from 'vitest';
import { versionStatusOf } from './version-status.ts';

it.each([
  ['1.9.0', '1.9.3', 'Supported'],
  ['1.5.0', '1.9.0', 'Supported'],
  ['1.4.9', '1.9.0', 'NotSupported'],
  ['2.0.0', '1.9.0', 'Supported'],
  ['0.9.0', '1.0.0', 'NotSupported'],
  ['1.10.0', '1.9.0', 'Supported'],
])('an appliance of %s at a vault of %s is %s', (appliance, vault, status) => {
  expect(versionStatusOf(appliance, vault)).toBe(status);
});
