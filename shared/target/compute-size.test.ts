import { expect, it } from 'vitest';
import { computeSizeAnswers } from './compute-size.ts';

type Answer = { properties: { name: string; errors: { severity: string; message: string }[] } };

/** What speaks against a size: severities. */
function objectionsTo(name: string, needs: Parameters<typeof computeSizeAnswers>[1]): string[] {
  const sizes = computeSizeAnswers('/item', needs) as Answer[];
  const found = sizes.find(({ properties }) => properties.name === name);
  if (found === undefined) throw new Error(`no size ${name}`);
  return found.properties.errors.map(({ severity }) => severity);
}

it('nothing speaks against a size that has what the machine has', () => {
  expect(objectionsTo('Standard_D2s_v5', { cpus: 2, memoryMB: 8_192, disks: 5, nics: 2 })).toEqual([]);
});

it('a size with too few disks or network cards is an error, one with too little power a warning', () => {
  const needs = { cpus: 4, memoryMB: 16_384, disks: 6, nics: 3 };
  expect(objectionsTo('Standard_D2s_v5', needs)).toEqual(['Error', 'Error', 'Warning', 'Warning']);
});
