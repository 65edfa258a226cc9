import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runTutorial } from './run-tutorial.ts';
import { type Part, parseTutorial, settle } from './transcript.ts';

const hasAz = spawnSync('az', ['version']).status === 0;
const where = hasAz ? '' : ' (needs az: on Debian, apt-get install azure-cli)';

/** Command and output of each step, as far as they are the same on every machine and at every run. */
function stepsOf(parts: readonly Part[]): { command: string; output: string }[] {
  return parts.flatMap((part) => {
    if (typeof part === 'string') return [];
    const { command, ofThisMachine, output } = part;
    return [{ command, output: ofThisMachine ? '' : settle(output) }];
  });
}

describe.skipIf(!hasAz)(`the tutorial with the Azure CLI${where}`, () => {
  test('every command does what the document says, from an empty vault to a protected machine and back', async () => {
    const path = resolve(import.meta.dirname, '..', '..', 'docs', 'tutorial-az.md');
    const written = parseTutorial(readFileSync(path, 'utf8'));
    expect(stepsOf(await runTutorial(written))).toEqual(stepsOf(written));
  }, 900_000);
});
