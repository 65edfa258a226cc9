/** `npm run package`: builds the installers of this version with signed checksums into dist/packages. */
import { rmSync, statSync } from 'node:fs';
import { arch, homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { MiB } from '../shared/bytes.ts';
import { version } from '../shared/version.ts';
import { buildAgentPackage, bundleAgent } from './agent-package.ts';
import { ensureSigningKey, signFiles } from './signature.ts';

const root = resolve(import.meta.dirname, '..');

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: join(root, 'dist', 'packages') },
    /** A Node for another platform than this one's, and that platform. */
    runtime: { type: 'string', default: process.execPath },
    platform: { type: 'string', default: `linux-${arch()}` },
    'signing-key': { type: 'string', default: join(homedir(), '.config', 'secondsite', 'release-key.pem') },
    compression: { type: 'string', default: '9' },
  },
});

const outFolder = resolve(values.out);
rmSync(outFolder, { recursive: true, force: true });
const options = {
  root,
  version,
  runtime: resolve(values.runtime),
  platform: values.platform,
  outFolder,
  compression: Number(values.compression),
};
const agentApp = await bundleAgent(root, join(outFolder, '.agent'));
const packages = [buildAgentPackage(options, agentApp)];
rmSync(agentApp, { recursive: true });
signFiles(outFolder, packages, ensureSigningKey(resolve(values['signing-key'])));
for (const path of packages) process.stdout.write(`${path} ${(statSync(path).size / MiB).toFixed(1)} MiB\n`);
process.stdout.write(`${join(outFolder, 'SHA256SUMS')}, signed by ${resolve(values['signing-key'])}\n`);
