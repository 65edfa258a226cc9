import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runTutorial } from './run-tutorial.ts';
import { type Part, parseTutorial, settle } from './transcript.ts';

const hasAz = spawnSync('az', ['version']).status === 0;
const where = hasAz ? '' : ' (needs az: on Debian, apt-get install azure-cli)';
const limitMs = 900_000;

/** Command and output of each step, as far as they are the same on every machine and at every run. */
function stepsOf(parts: readonly Part[]): { command: string; output: string }[] {
  return parts.flatMap((part) => {
    if (typeof part === 'string') return [];
    const { command, ofThisMachine, output } = part;
    return [{ command, output: ofThisMachine ? '' : settle(output) }];
  });
}

/** What a document says, and what its commands print now. */
async function rerun(name: string) {
  const path = resolve(import.meta.dirname, '..', '..', 'docs', name);
  const written = parseTutorial(readFileSync(path, 'utf8'));
  return { written: stepsOf(written), printed: stepsOf(await runTutorial(written)) };
}

describe('every command of a tutorial prints what the document says, from an empty vault to a protected machine and back', () => {
  test('with the command line', { timeout: limitMs }, async () => {
    const { written, printed } = await rerun('tutorial.md');
    expect(printed).toEqual(written);
  });

  test.skipIf(!hasAz)(`with the Azure CLI${where}`, { timeout: limitMs }, async () => {
    const { written, printed } = await rerun('tutorial-az.md');
    expect(printed).toEqual(written);
  });
});
