import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..', '..');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'secondsite-arrows-'));
  copyFileSync(join(root, '.oxlintrc.json'), join(folder, '.oxlintrc.json'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Lints one planted file, and tells the rules it breaks. */
function plant(path: string, source: string): string[] {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, source);
  const run = spawnSync(join(root, 'node_modules', '.bin', 'oxlint'), ['--format', 'json', file], {
    cwd: folder,
    encoding: 'utf8',
  });
  const { diagnostics } = JSON.parse(run.stdout) as { diagnostics: { code: string }[] };
  return diagnostics.map(({ code }) => code);
}

const imports = (from: string): string => `import { thing } from '${from}';\nexport const used = thing;\n`;

test.each([
  ['shared/vault/vault.ts', '../../functions/services.ts'],
  ['shared/wire/command.ts', '../../local/platform/platform.ts'],
  ['shared/vault/vault.ts', '@azure/functions'],
  ['shared/vault/vault.ts', 'durable-functions'],
  ['functions/http/vaults.ts', '../../appliance/main.ts'],
  ['functions/services.ts', '../local/platform/platform.ts'],
  ['appliance/main.ts', '../functions/services.ts'],
  ['appliance/process-server/spool.ts', '../../shared/vault/vault.ts'],
  ['appliance/mobility-agent/agent.ts', '../../local/json-file.ts'],
  ['cli/local.ts', '../local/cli.ts'],
  ['cli/agent.ts', '../appliance/mobility-agent/agent.ts'],
  ['cli/vault.ts', '../shared/store/table.ts'],
  ['portal/main.ts', '../shared/replica/point.ts'],
  ['local/demo/main.ts', '../../functions/services.ts'],
  ['local/functions-host/host.ts', '@azure/functions'],
])('%s may not import %s', (path, from) => {
  expect(plant(path, imports(from))).toContain('eslint(no-restricted-imports)');
});

test.each([
  ['functions/http/vaults.ts', '../../shared/vault/vault.ts'],
  ['functions/http/vaults.ts', '@azure/functions'],
  ['appliance/process-server/spool.ts', '../../shared/replica/point.ts'],
  ['appliance/main.ts', '../shared/wire/command.ts'],
  ['cli/agent.ts', '../shared/wire/command.ts'],
  ['local/platform/platform.ts', '../../shared/bytes.ts'],
])('%s may import %s', (path, from) => {
  expect(plant(path, imports(from))).not.toContain('eslint(no-restricted-imports)');
});

test('a cycle of imports is refused', () => {
  plant('shared/cycle/one.ts', "import { two } from './two.ts';\nexport const one = (): number => two();\n");
  const source = "import { one } from './one.ts';\nexport const two = (): number => one();\n";
  expect(plant('shared/cycle/two.ts', source)).toContain('import(no-cycle)');
});

test.each([
  ['node:fs/promises'],
  ['node:crypto'],
  ['@azure/data-tables'],
  ['../services.ts'],
  ['../edge/start-job.ts'],
  ['../../shared/store/table.ts'],
  ['../../shared/replica/chain.ts'],
  ['../../shared/job/job-store.ts'],
  ['../../shared/command/command-queue.ts'],
  ['../../shared/protection/replica-container.ts'],
  ['../../local/platform/platform.ts'],
])('an orchestration may not import %s', (from) => {
  expect(plant('functions/orchestrations/planted.ts', imports(from))).toContain(
    'eslint(no-restricted-imports)',
  );
});

test.each([
  ['Date.now()', 'no-restricted-properties'],
  ['Math.random()', 'no-restricted-properties'],
  ["fetch('https://example.org')", 'no-restricted-globals'],
  ['setTimeout(() => {}, 1)', 'no-restricted-globals'],
  ['process.env', 'no-restricted-globals'],
  ['crypto.randomUUID()', 'no-restricted-globals'],
])('an orchestration may not use %s', (expression, rule) => {
  const found = plant('functions/orchestrations/planted.ts', `export const used = ${expression};\n`);
  expect(found).toContain(`eslint(${rule})`);
});

test.each([['durable-functions'], ['zod'], ['../activities/policy.ts'], ['../../shared/fault.ts']])(
  'an orchestration may import %s',
  (from) => {
    expect(plant('functions/orchestrations/planted.ts', imports(from))).toEqual([]);
  },
);

/** oxlint has no rule by which a call without arguments could be told. */
test('no orchestration asks for the present time by new Date()', () => {
  const orchestrations = join(root, 'functions', 'orchestrations');
  const asking = readdirSync(orchestrations).filter((name) =>
    /new Date\(\s*\)/u.test(readFileSync(join(orchestrations, name), 'utf8')),
  );
  expect(asking).toEqual([]);
});
