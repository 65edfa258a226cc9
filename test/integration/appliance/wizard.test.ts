import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { askForAnswers } from '../../../appliance/setup/wizard.ts';
import { VaultServer } from './vault-server.ts';

const enter = '\r';
const down = '\u001b[B';

let folder: string;
let vault: VaultServer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wizard-'));
  vault = await VaultServer.start();
  await writeFile(join(folder, 'key.json'), JSON.stringify(await vault.createKey()));
});

afterEach(async () => {
  await vault.close();
  await rm(folder, { recursive: true, force: true });
});

/** Answers each question when it is shown, in order; collects what was shown. */
function person(script: [question: string, keys: string][]) {
  const input = new PassThrough();
  const output = new PassThrough();
  // like a terminal, which a prompt can't end
  output.end = () => output;
  const shown = { text: '' };
  let from = 0;
  output.on('data', (chunk: Buffer) => {
    shown.text += stripVTControlCharacters(chunk.toString('utf8'));
    const [next] = script;
    const at = next === undefined ? -1 : shown.text.indexOf(next[0], from);
    if (next === undefined || at === -1) return;
    from = shown.text.length;
    script.shift();
    // in a turn of its own: the prompt listens after it was drawn
    setImmediate(() => input.write(next[1]));
  });
  return { terminal: { input, output }, shown };
}

const until = (end: [string, string][]): [string, string][] => [
  ['Role', enter],
  ['Accept them?', `y${enter}`],
  ['Registration key file', enter],
  ...end,
];

test('asks its way to the summary, and keeps what was answered', async () => {
  const { terminal, shown } = person(
    until([
      ['Connect', enter],
      ['Address to listen on', `127.0.0.1${enter}`],
      ['Port', `0${enter}`],
      ['Folder', enter],
      ['smaller than recommended', `y${enter}`],
      ['Make a passphrase', enter],
      ['VMware ones?', enter],
      ['Set the appliance up so?', enter],
    ]),
  );
  const answers = await askForAnswers({ dataFolder: folder, keyPath: join(folder, 'key.json'), terminal });
  expect(answers).toMatchObject({
    role: 'configurationServer',
    registrationKey: join(folder, 'key.json'),
    internet: { mode: 'direct' },
    network: { host: '127.0.0.1', port: 0 },
    dataFolder: folder,
    acceptUndersized: true,
  });
  for (let step = 1; step <= 11; step += 1) expect(shown.text).toContain(`Step ${step} of 11`);
  expect(shown.text).toContain('ContosoVMVault');
});

test('never shows the proxy’s password', async () => {
  const { terminal, shown } = person(
    until([
      ['Connect', `${down}${down}${enter}`],
      ['Proxy address', `127.0.0.1${enter}`],
      ['Proxy port', `1${enter}`],
      ['Proxy user', `site${enter}`],
      ['Proxy password', `s3cret-word${enter}`],
      ['Address to listen on', enter],
      ['Port', `0${enter}`],
      ['Folder', enter],
      ['smaller than recommended', `y${enter}`],
      ['Make a passphrase', enter],
      ['VMware ones?', enter],
      ['Set the appliance up so?', `n${enter}`],
    ]),
  );
  const answers = await askForAnswers({ dataFolder: folder, keyPath: join(folder, 'key.json'), terminal });
  expect(answers).toBeUndefined();
  expect(shown.text).toMatch(/FAIL {2}Vault reached/u);
  expect(shown.text).not.toContain('s3cret-word');
});

test('ends when the licences are not accepted', async () => {
  const { terminal } = person([
    ['Role', enter],
    ['Accept them?', enter],
  ]);
  await expect(askForAnswers({ dataFolder: folder, terminal })).rejects.toMatchObject({
    fault: { target: 'acceptLicences' },
  });
});
