import { describe, expect, test } from 'vitest';
import { runTutorial } from './run-tutorial.ts';
import { formatTutorial, parseTutorial, settle } from './transcript.ts';

const tutorial = [
  'Words.',
  '',
  '```sh',
  'fruit=apple',
  'echo "$fruit"',
  '```',
  '',
  '```text',
  'pear',
  '```',
  '',
  'More words.',
  '',
  '<!-- runs on until: ready -->',
  '',
  '```sh',
  'echo getting; echo ready; sleep 600',
  '```',
  '',
  '```sh',
  'echo "$fruit"s in $HOME',
  'cat',
  '```',
  '',
].join('\n');

describe('a tutorial', () => {
  test('is the same text when nothing was run', () => {
    expect(formatTutorial(parseTutorial(tutorial))).toBe(tutorial);
  });

  test('has under each command what it printed, one shell for all and terminals for what runs on', async () => {
    const ran = formatTutorial(await runTutorial(parseTutorial(tutorial)));
    expect(ran).toBe(
      tutorial
        .replace('pear', 'apple')
        .replace('sleep 600\n```\n', 'sleep 600\n```\n\n```text\ngetting\nready\n```\n')
        .replace('\ncat\n```\n', '\ncat\n```\n\n```text\napples in /home/you\n```\n'),
    );
    expect(formatTutorial(parseTutorial(ran))).toBe(ran);
  });

  test('is not written when a command fails, and says which and what it printed', async () => {
    const failing = parseTutorial('```sh\necho so far; false; echo never\n```\n');
    await expect(runTutorial(failing)).rejects.toThrow(/echo so far[^]*It printed:\s+so far\s*$/u);
  });

  test('differs from another run in ids, times and ports alone', () => {
    const one =
      'job 5075d00a-9230-5561-8491-0bc9c14bf81a at 2026-11-23T00:42:53.086Z, 127.0.0.1:33211, Succeeded';
    const other =
      'job a5ad17aa-9230-5561-8491-0bc9c14bf81a at 2026-12-24T00:42:53.186Z, 127.0.0.1:4711, Succeeded';
    expect(settle(one)).toBe(settle(other));
    expect(settle(one)).not.toBe(settle(one.replace('Succeeded', 'Failed')));
  });
});
