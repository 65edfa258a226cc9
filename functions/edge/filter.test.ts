import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DomainError } from '../../shared/fault.ts';
import { parseFilter, takeOf } from './filter.ts';

const fields = ['name', 'friendlyName'];

describe('a $filter', () => {
  it('may be absent', () => {
    expect(parseFilter(null, fields).size).toBe(0);
    expect(parseFilter('  ', fields).size).toBe(0);
  });

  it('joins comparisons with and, whatever the case of the fields', () => {
    expect([...parseFilter("NAME eq 'a' and friendlyname eq 'b'", fields)]).toEqual([
      ['name', 'a'],
      ['friendlyname', 'b'],
    ]);
  });

  it('gives back any quoted value as it was', () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        const filter = `name eq '${value.replaceAll("'", "''")}'`;
        expect(parseFilter(filter, fields).get('name')).toBe(value);
      }),
    );
  });

  it('is refused, never misread, when it is anything else', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 200 }), (text) => {
        expect(thrownBy(() => parseFilter(text, fields))).toSatisfy(isRefusal);
      }),
    );
    expect(() => parseFilter("owner eq 'x'", fields)).toThrow(DomainError);
    expect(() => parseFilter("name ne 'x'", fields)).toThrow(DomainError);
    expect(() => parseFilter("name eq 'x' or name eq 'y'", fields)).toThrow(DomainError);
  });
});

describe('$take', () => {
  it('is at most 1,000 and at least 1', () => {
    expect(takeOf(new URLSearchParams(''))).toBe(1_000);
    expect(takeOf(new URLSearchParams('$take=5000'))).toBe(1_000);
    expect(takeOf(new URLSearchParams('take=7'))).toBe(7);
    expect(() => takeOf(new URLSearchParams('$take=0'))).toThrow(DomainError);
    expect(() => takeOf(new URLSearchParams('$take=1.5'))).toThrow(DomainError);
  });
});

function thrownBy(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}

function isRefusal(error: unknown): boolean {
  return error === undefined || error instanceof DomainError;
}
