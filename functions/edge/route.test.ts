import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../shared/fault.ts';
import { pathParameters } from './route.ts';

const route = 'vaults/{vaultName}/policies/{policyName}';

describe('path parameters', () => {
  it('are decoded, and kept apart from slashes that were encoded', () => {
    expect(pathParameters(route, 'https://x/VAULTS/my%20vault/Policies/a%2Fb?vaultName=other')).toEqual({
      vaultName: 'my vault',
      policyName: 'a/b',
    });
  });

  it('give back any name that was encoded, or refuse it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (name) => {
        const wanted = name.toWellFormed();
        const url = `https://x/vaults/v/policies/${encodeURIComponent(wanted)}`;
        expect([wanted, 'refused']).toContain(nameIn(url));
      }),
    );
  });

  it.each([
    'https://x/vaults/v/policies/%E0%A4%A',
    'https://x/vaults/v/policies/%00',
    `https://x/vaults/v/policies/${'a'.repeat(261)}`,
    'https://x/vaults/v/policies/',
    'https://x/vaults/v/policies/a/b',
    'https://x/vaults/v/policies/../keys/a',
    'https://x/vaults/v/%2e%2e/a/b',
  ])('are refused in %s', (url) => {
    expect(() => pathParameters(route, url)).toThrow(DomainError);
  });
});

/** @throws what is not a refusal */
function nameIn(url: string): string {
  try {
    return pathParameters(route, url).policyName;
  } catch (error) {
    if (error instanceof DomainError) return 'refused';
    throw error;
  }
}
