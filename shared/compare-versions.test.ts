import { expect, test } from 'vitest';
import { compareVersions } from './compare-versions.ts';

test('orders versions by their numbers, and a pre-release before its release', () => {
  const inOrder = ['0.1.0', '0.2.0-beta.1', '0.2.0-rc1', '0.2.0', '0.2.10', '0.10.0', '1.0.0', '10.0.0'];
  expect(inOrder.toReversed().toSorted(compareVersions)).toEqual(inOrder);
  expect(compareVersions('0.2.0', '0.2.0')).toBe(0);
});
